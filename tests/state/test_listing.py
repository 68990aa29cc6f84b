"""Lists of jobs: filters, pages in both directions, counts, and walks that are cut short."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from app.state import listing
from app.state.lifecycle import STATES
from app.state.listing import Count, Filter, Listing

if TYPE_CHECKING:
    from tests.state.conftest import Scene

LABELLED: dict[str, Any] = {"binary": "ffmpeg", "args": ["-i", "x"], "labels": {"show": "Étoile", "gpu": "1"}}


def spec(*args: Any) -> dict[str, Any]:
    return {"binary": "ffmpeg", "args": list(args)}


async def ids(lists: Listing, which: Filter, count: int = 100) -> list[str]:
    return [job.id for job in (await lists.page(which, count)).jobs]


async def down(lists: Listing, which: Filter, count: int) -> list[list[str]]:
    """All pages, from the newest to the oldest."""
    pages, before = [], ""
    while True:
        page = await lists.page(which, count, before=before)
        pages.append([job.id for job in page.jobs])
        before = page.older
        if not before:
            return pages


async def many(scene: Scene, count: int, **changes: Any) -> list[str]:
    """Jobs, the newest first; some of one millisecond."""
    made = await asyncio.gather(*(scene.submit(**changes) for _ in range(count)))
    created = {job_id: int((await scene.raw(job_id))["created"]) for job_id in made}
    return sorted(made, key=lambda job_id: (created[job_id], job_id), reverse=True)


# Pages


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 10, 23])
async def test_pages_hold_each_job_once_and_the_last_says_so(scene: Scene, count: int) -> None:
    made = await many(scene, count)

    pages = await down(scene.store.listing, Filter(), 5)

    assert [job_id for page in pages for job_id in page] == made
    assert [len(page) for page in pages[:-1]] == [5] * (len(pages) - 1)
    assert pages[-1] or not made


async def test_one_turns_the_pages_back_to_where_one_began(scene: Scene) -> None:
    made = await many(scene, 12)
    lists = scene.store.listing
    first = await lists.page(Filter(), 5)
    second = await lists.page(Filter(), 5, before=first.older)
    third = await lists.page(Filter(), 5, before=second.older)

    back = await lists.page(Filter(), 5, after=third.newer)
    top = await lists.page(Filter(), 5, after=back.newer)

    assert [job.id for job in third.jobs] == made[10:]
    assert [job.id for job in back.jobs] == made[5:10]
    assert [job.id for job in top.jobs] == made[:5]
    assert (first.newer, top.newer, third.older) == ("", "", "")
    assert (back.older, top.older) == (second.older, first.older)


async def test_what_comes_or_moves_meanwhile_shifts_no_page(scene: Scene) -> None:
    made = await many(scene, 20)
    lists, seen, before = scene.store.listing, list[str](), ""
    while True:
        page = await lists.page(Filter(), 3, before=before)
        seen += [job.id for job in page.jobs]
        before = page.older
        if not before:
            break
        await scene.submit()
        await scene.jobs.cancel(made[-1])  # is still to come

    assert seen == made


async def test_a_job_that_leaves_its_state_leaves_no_gap(scene: Scene) -> None:
    made = await many(scene, 9)
    lists = scene.store.listing
    first = await lists.page(Filter(state="queued"), 3)
    for job in first.jobs:  # the place of the last one is not in this list any more
        await scene.jobs.cancel(job.id)

    second = await lists.page(Filter(state="queued"), 6, before=first.older)

    assert [job.id for job in second.jobs] == made[3:]


async def test_more_jobs_of_one_millisecond_than_a_page_holds_are_all_there(scene: Scene) -> None:
    made = await asyncio.gather(*(scene.submit() for _ in range(240)))
    await scene.redis.zadd(scene.keys.made_in("queued"), dict.fromkeys(made, 1_760_000_000_000))
    for job_id in made:
        await scene.redis.hset(scene.keys.job(job_id), "created", 1_760_000_000_000)
    lists = scene.store.listing

    pages = await down(lists, Filter(state="queued"), 7)
    last = await lists.page(Filter(state="queued"), 7, after=f"1760000000000-{pages[-1][-1]}")

    assert [job_id for page in pages for job_id in page] == sorted(made, reverse=True)
    assert [job.id for job in last.jobs] == sorted(made)[1:8][::-1]


# Filters


async def test_each_word_of_a_filter_narrows_the_list(scene: Scene) -> None:
    worker, other = await scene.worker("w1"), await scene.worker("w2")
    done = await scene.ended(worker)
    failed = await scene.ended(other, "fail", owner="plex", lane="low")
    queued = await scene.submit(lane="live", owner="plex", spec=LABELLED)
    lists = scene.store.listing

    async def found(**words: Any) -> set[str]:
        listed = await ids(lists, Filter(**words))
        assert await lists.count(Filter(**words)) == Count(len(listed))
        return set(listed)

    assert await found() == {done, failed, queued}
    assert await found(state="done") == await found(worker="w1") == await found(owner="jellyfin") == {done}
    assert await found(lane="low") == await found(owner="plex", state="failed") == {failed}
    assert await found(owner="plex") == {failed, queued}
    assert await found(labels=(("show", "Étoile"),)) == {queued}
    assert await found(labels=(("show", "Étoile"), ("gpu", "1"))) == {queued}
    assert (
        await found(labels=(("show", "Étoile"), ("gpu", "2"))) == await found(labels=(("x", "1"),)) == set()
    )
    assert await found(owner="plex", state="done") == await found(worker="w3") == set()


@pytest.mark.parametrize(
    ("text", "is_there"),
    [
        ("movie", True),
        ("MOVIE", True),
        ("{Movies}/a", True),
        ("my film", True),
        ("'my film.mkv'", True),
        ("ÉTÉ", True),
        ("été", True),
        ("ffmpeg -i", True),
        ("-i-", False),
        ("film  ", False),
        ("root", False),  # how it is stored is nobody's business
        ("labels", False),
        ("\\u00e9", False),
        ("%", False),
    ],
)
async def test_a_text_is_looked_for_in_the_command(scene: Scene, text: str, *, is_there: bool) -> None:
    wanted = spec("-i", [{"root": "Movies"}, "/a"], "my film.mkv", "été")
    job_id = await scene.submit(spec={**wanted, "labels": {}})
    await scene.submit(spec=spec("other"))

    found = await ids(scene.store.listing, Filter(text=text))

    assert found == ([job_id] if is_there else [])


async def test_a_text_is_looked_for_in_the_id(scene: Scene) -> None:
    made = await many(scene, 3)

    assert await ids(scene.store.listing, Filter(text=made[1][4:20].lower() + made[1][20:])) == [made[1]]


async def test_a_page_of_what_holds_a_text_is_full_and_is_followed_by_the_rest(scene: Scene) -> None:
    for _ in range(10):
        await scene.submit(spec=spec("other"))
        await many(scene, 2, spec=spec("wanted"))
    every = await scene.store.listing.page(Filter(), 100)
    wanted = [job.id for job in every.jobs if job.spec["args"] == ["wanted"]]

    pages = await down(scene.store.listing, Filter(text="wanted"), 8)

    assert pages == [wanted[:8], wanted[8:16], wanted[16:]]


async def test_times_are_of_the_creation_and_the_later_one_is_outside(scene: Scene) -> None:
    made = await many(scene, 5)
    for number, job_id in enumerate(made):
        await scene.redis.zadd(scene.keys.jobs, {job_id: 5_000 - number})
        await scene.redis.hset(scene.keys.job(job_id), "created", 5_000 - number)
    lists = scene.store.listing

    assert await ids(lists, Filter(since=4_998)) == made[:3]
    assert await ids(lists, Filter(until=4_998)) == made[3:]
    assert await ids(lists, Filter(since=4_997, until=5_000)) == made[1:4]
    assert await lists.count(Filter(since=4_997, until=5_000)) == Count(3)
    assert await down(lists, Filter(since=4_997, until=5_000), 2) == [made[1:3], made[3:4]]
    above = await lists.page(Filter(since=4_997, until=5_000), 9, after=f"1-{made[-1]}")
    assert [job.id for job in above.jobs] == made[1:4]
    below = await lists.page(Filter(until=4_998), 9, before=f"5000-{made[0]}")
    assert [job.id for job in below.jobs] == made[3:]


@pytest.mark.parametrize("state", STATES)
async def test_the_lists_of_states_follow_the_jobs(scene: Scene, state: str) -> None:
    worker = await scene.worker()
    for event in ("succeed", "fail", "cancel"):
        await scene.ended(worker, event)
    await scene.submit()

    counted = await scene.jobs.counts()
    assert len(await ids(scene.store.listing, Filter(state=state))) == counted[state]
    assert (await scene.store.listing.counts(STATES))[state] == counted[state]


async def test_a_job_that_is_forgotten_is_in_no_list(scene: Scene) -> None:
    job_id = await scene.ended(await scene.worker())

    await scene.store.reaper.expire(keep_ms=0)

    assert await scene.mentions(job_id) == []


# Bounds


async def test_a_walk_without_time_says_how_far_it_has_come_and_goes_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "BUDGET", -1.0)
    monkeypatch.setattr(listing, "STEP", 4)
    made = await many(scene, 10)
    oldest = made[-1]
    await scene.redis.hset(scene.keys.job(oldest), "lane", "low")
    lists = scene.store.listing

    first = await lists.page(Filter(lane="low"), 5)
    second = await lists.page(Filter(lane="low"), 5, before=first.older)
    third = await lists.page(Filter(lane="low"), 5, before=second.older)

    assert (first.jobs, second.jobs, [job.id for job in third.jobs]) == ([], [], [oldest])
    assert first.searched == int((await scene.raw(made[3]))["created"])
    assert (third.searched, third.older) == (None, "")
    assert await lists.count(Filter(lane="low"), budget=-1.0) == Count(0, exact=False)


async def test_all_of_them_come_a_handful_at_a_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "CHUNK", 4)
    made = await many(scene, 10)

    handfuls = [[job.id for job in jobs] async for jobs in scene.store.listing.every(Filter())]

    assert [job_id for jobs in handfuls for job_id in jobs] == made
    assert max(map(len, handfuls)) == 4
