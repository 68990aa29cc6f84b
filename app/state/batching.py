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

from app.state.trouble import NotNow

WAIT_MS = 1000  # how long replicas have to take what was written

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


class Replicated(Batching):
    """The same for what somebody will rely on: an answer counts once so many replicas have what was written.

    WAIT speaks of its own connection's last write, so it ends the batch in which the commands are. A repetition of
    what a lost connection had done may write nothing, and Valkey would not wait then: the message beside it is
    a write, and is allowed on a full server.
    """

    _replicas = 0
    _channel = ""

    def wait_for(self, replicas: int, channel: str) -> None:
        """Says how many replicas, and a channel that nobody need listen to."""
        self._replicas, self._channel = replicas, channel

    async def _alone(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        (answer,) = await self._ask([(args, options, asyncio.get_running_loop().create_future())])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _ask(self, batch: list[Asked]) -> list[Any]:
        """What Redis answers, or NotNow in the place of all: what was written may be lost with this server, or may not.

        In the place of errors too: that a frame is there already is good news only where it cannot be lost.
        """
        pipe: Any = self.pipeline(transaction=False)
        for args, options, _ in batch:
            pipe.execute_command(*args, **options)
        pipe.execute_command("PUBLISH", self._channel, b"")
        pipe.execute_command("WAIT", self._replicas, WAIT_MS)
        answers: list[Any]
        *answers, published, reached = await pipe.execute(raise_on_error=False)
        if isinstance(published, Exception):
            raise published
        if isinstance(reached, Exception):
            raise reached
        if reached >= self._replicas:
            return answers
        return [NotNow(f"only {reached} of {self._replicas} replicas have it")] * len(answers)


def _tell(waiting: asyncio.Future[Any], answer: Any) -> None:
    if waiting.done():  # whoever waited has gone
        return
    if isinstance(answer, Exception):
        waiting.set_exception(answer)
    else:
        waiting.set_result(answer)
