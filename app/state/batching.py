"""A Redis client whose commands travel together: what is asked while an answer is awaited goes in one write.

    command, command  --one write-->  Redis        command, command, command  (collected meanwhile)
                      <--answers----                        --one write-->  ...

A coordinator with 32 requests in flight pays for one round trip, not for 32, and needs one connection, not 32.
A waiter that is cancelled leaves the connection as it is.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Redis

Asked = tuple[tuple[Any, ...], dict[str, Any], "asyncio.Future[Any]"]


class Batching(Redis):
    """redis-py's client with `execute_command` batched; pipelines and all else are redis-py's own."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._asked: list[Asked] = []
        self._busy = False
        self._sending: asyncio.Task[None] | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """What Redis answers. Raises what redis-py raises."""
        if self._busy:
            answer = asyncio.get_running_loop().create_future()
            self._asked.append((args, options, answer))
            return await answer
        self._busy = True
        try:
            return await self._alone(args, options)
        finally:
            self._go_on()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Closes the connections, after what has been asked."""
        while self._sending:
            await asyncio.wait([self._sending])
        await super().aclose(close_connection_pool)

    def _go_on(self) -> None:
        """The connection is free: sends what was asked meanwhile."""
        self._busy = bool(self._asked)
        self._sending = asyncio.create_task(self._send()) if self._busy else None

    async def _send(self) -> None:
        batch, self._asked = self._asked, []
        try:
            answers = await self._ask(batch)
        except Exception as error:
            answers = [error] * len(batch)
        for (_, _, waiting), answer in zip(batch, answers, strict=True):
            _tell(waiting, answer)
        self._go_on()

    async def _alone(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        ask: Any = super().execute_command
        return await ask(*args, **options)

    async def _ask(self, batch: list[Asked]) -> list[Any]:
        if len(batch) == 1:
            ((args, options, _),) = batch
            return [await self._alone(args, options)]
        pipe: Any = self.pipeline(transaction=False)
        for args, options, _ in batch:
            pipe.execute_command(*args, **options)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers


def _tell(waiting: asyncio.Future[Any], answer: Any) -> None:
    if waiting.done():  # whoever waited has gone
        return
    if isinstance(answer, Exception):
        waiting.set_exception(answer)
    else:
        waiting.set_result(answer)
