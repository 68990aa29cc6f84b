"""What workers' processes do about themselves: come, beat, die, leave."""

from __future__ import annotations

from app.state.workers import NameTaken, NoSuchWorker
from tests.model import crew
from tests.model.compare import demand
from tests.model.table import INDEX, TWICE, action
from tests.model.world import HOSTS, Process, World


@action(10, process=INDEX, share=("all", "all", "some", "none"), idle=(False, True), twice=TWICE)
async def beat(world: World, process: int, share: str, idle: bool, twice: bool) -> bool:
    """A heartbeat, with all, some or none of what the process believes to hold."""
    one = world.process(process)
    if one:
        await beat_of(world, one, share, idle, twice)
    return one is not None


async def beat_of(world: World, one: Process, share: str, idle: bool, twice: bool) -> None:
    """The heartbeat of this process."""
    held = dict(list(one.held.items())[: {"all": None, "some": 1, "none": 0}[share]])
    classes = [] if idle else one.classes(world.model)
    expected = crew.beat(world.model, one.name, one.boot, len(held), classes, held)
    found = await world.call(twice, one.leases.beat(len(held), classes, held))
    demand("beat", crew.Beat(**vars(found)), expected)
    if expected.standing == "ok":
        world.delivered |= {job_id for job_id, token in held.items() if world.model.may_write(job_id, token)}


@action(6, name=("w1", "w2"), host=(*HOSTS, "den"), proof=(False, True), twice=TWICE)
async def register(world: World, name: str, host: str, proof: bool, twice: bool) -> bool:
    """A new process wants a name. It knows the holder dead where it has run on the same host and is."""
    boot = f"b{world.subject.number()}"
    about = {"host": host, "boot": boot, "binaries": {"ffmpeg": "8"}, "roots": HOSTS[host], "labels": {}}
    one = Process(name, boot, host, about, world.subject.leases(name, boot))
    known = world.model.workers.get(name)
    before = next((one for one in world.processes if known and one.boot == known.boot), None)
    knows = proof and (known is None or (before is not None and before.host == host and not before.alive))
    world.processes.append(one)
    await _register(world, one, knows, twice)
    if not (known := world.model.workers.get(name)) or known.boot != boot:
        world.processes.remove(one)
    return True


@action(2, process=INDEX, twice=TWICE)
async def register_again(world: World, process: int, twice: bool) -> bool:
    """A process that nobody knows any more, or whose reply was lost, says once more who it is."""
    one = world.process(process)
    if one:
        await _register(world, one, False, twice)
    return one is not None


async def _register(world: World, one: Process, proof: bool, twice: bool) -> None:
    for _ in range(1 + twice):
        expected = crew.register(world.model, world.seen, one.name, one.boot, one.about, proof)
    found = None
    try:
        await world.call(twice, world.subject.workers.register(one.name, one.boot, one.about, proof))
    except NameTaken as taken:
        found = str(taken).partition("(")[2]
    demand("registered", found, None if expected is None else f"heard of {expected / 1000:.1f} s ago)")


@action(3, process=INDEX)
async def die(world: World, process: int) -> bool:
    """A process dies."""
    if one := world.process(process):
        one.alive = False
    return one is not None


@action(1, process=INDEX, twice=TWICE)
async def retire(world: World, process: int, twice: bool) -> bool:
    """A process leaves as it should, whatever it still holds."""
    if not (one := world.process(process)):
        return False
    leaves = crew.retire(world.model, one.name, one.boot)
    await world.call(twice, world.subject.workers.retire(one.name, one.boot))
    one.alive = False
    if leaves:
        await world.check_forgotten(one.name)
    return True


@action(2, name=("w1", "w2"), what=("drain", "pause", "resume", "resume"), twice=TWICE)
async def order(world: World, name: str, what: str, twice: bool) -> bool:
    """A worker is told to take nothing new, or to go on."""
    for _ in range(1 + twice):
        expected = crew.order(world.model, name, what)
    found = True
    try:
        await world.call(twice, getattr(world.subject.workers, what)(name))
    except NoSuchWorker:
        found = False
    demand("order", found, expected)
    return True
