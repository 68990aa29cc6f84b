"""Short walks that somebody has thought of: each goes where chance seldom does. The world compares at each step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from app.state.workers import LEASE_MS
from tests.model.actions import ACTIONS
from tests.model.world import World

BROKE = {"exit": 1, "reason": "it broke", "cause": "exit"}


class Tale:
    """Makes actions by name in a world; a parameter that is not given has the first of its values."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def __call__(self, name: str, /, **given: Any) -> None:
        """One action, which must find something to do."""
        action = ACTIONS[name]
        usual = {parameter: values[0] for parameter, values in action.values.items()}
        done = await self.world.step(action.act, **{**usual, **given})
        assert done, f"{name} has nothing to do"

    async def until(self, moment: int) -> None:
        """Lets time pass until then, tick by tick, without an outage."""
        while self.world.model.now < moment:
            await self("tick", milliseconds=min(1000, moment - self.world.model.now))

    async def pass_time(self, milliseconds: int) -> None:
        """The same for so long."""
        await self.until(self.world.model.now + milliseconds)

    async def crew(self, *names: str) -> None:
        """Workers that are there for a while; the first is process 0 from now on, the one after it 1 ..."""
        for name in reversed(names or ("w1",)):
            await self("register", name=name)
        await self.pass_time(LEASE_MS + 500)
        for number in range(len(names) or 1):
            await self("beat", process=number)

    async def running(self, process: int = 0, **asked: Any) -> None:
        """A new job that this process runs."""
        await self("submit", **asked)
        await self("beat", process=process)  # so that it knows the class
        await self("claim", process=process)


Story = Callable[[Tale], Awaitable[None]]
STORIES: dict[str, Story] = {}


def story(*cases: Any) -> Callable[[Callable[..., Awaitable[None]]], None]:
    """Puts a function among the stories, once for each case."""

    def add(tell: Callable[..., Awaitable[None]]) -> None:
        for number, case in enumerate(cases):
            STORIES[f"{tell.__name__} {number}"] = partial(tell, case=case)
        if not cases:
            STORIES[tell.__name__] = tell

    return add
