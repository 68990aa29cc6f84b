"""Walks at random through the actions: the same seed walks the same way."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.model import clients, lives, upkeep
from tests.model.actions import ACTIONS
from tests.model.settle import settle
from tests.model.world import World

LENGTH = 60
DAMAGE = {"delete_stream", "destroy_group", "delete_entry", "double_entry", "delete_due", "flush_scripts"}


async def walk(world: World, seed: int, length: int = LENGTH) -> None:
    """One walk from an empty server until every job has ended. Raises Violation and what the server raises."""
    random = Random(seed)
    await world.begin()
    if random.random() < 0.7:
        await morning(world)
    weights = _weights(random)
    made = 0
    while made < length:
        possible = {name: weight for name, weight in weights.items() if ACTIONS[name].is_possible(world)}
        name = random.choices(list(possible), list(possible.values()))[0]
        made += await world.step(ACTIONS[name].act, **_draw(random, ACTIONS[name].values))
    await settle(world, proof=seed % 2 == 0)


async def morning(world: World) -> None:
    """Workers are there, ticks go on, and there is something to do."""
    for name in ("w1", "w2"):
        await world.step(lives.register, name=name, host="den", proof=False, twice=False)
    await world.step(upkeep.lapse, beats=3, seconds=8)
    usual = {name: values[0] for name, values in ACTIONS["submit"].values.items()}
    for redo, attach in (("suspected", False), ("fenced", True), ("never", False)):
        await world.step(clients.submit, **{**usual, "redo": redo, "attach": attach})
    for process in range(2):
        await world.step(lives.beat, process=process, share="all", idle=False, twice=False)


def _weights(random: Random) -> dict[str, float]:
    """Each walk prefers some actions and leaves out others; the server is damaged in a quarter of them."""
    damaged = random.random() < 0.25
    weights = {
        name: action.weight * random.choice((0, 0.3, 1, 1, 3))
        for name, action in ACTIONS.items()
        if damaged or name not in DAMAGE
    }
    return {**weights, "submit": 8, "register": 4, "claim": 10, "beat": 6}


def _draw(random: Random, values: dict[str, Any]) -> dict[str, Any]:
    return {name: random.choice(options) for name, options in values.items()}
