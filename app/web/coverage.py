"""Which workers can serve a queue, and why nobody does. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.state.requirements import Requirement, missing, why_nobody
from app.state.workers import Worker


def words(needs: Requirement) -> str:
    """What jobs of a class need: "ffmpeg, roots Movies and TV, encoder hevc_nvenc, label gpu=yes"."""
    labels = [f"{name}={value}" for name, value in needs["labels"].items()]
    named = (("root", needs["roots"]), ("encoder", needs["encoders"]), ("label", labels))
    parts = [f"{word}{'s' * (len(found) > 1)} {_list(found)}" for word, found in named if found]
    return ", ".join([needs["binary"], *parts])


def able(needs: Requirement, workers: Iterable[Worker]) -> list[Worker]:
    """The live workers that have what is needed, also those that take nothing new."""
    return [worker for worker in workers if worker.live and not missing(needs, worker.about)]


def why(needs: Requirement, workers: Sequence[Worker]) -> str:
    """Why nobody takes such jobs, in a sentence; "" where somebody does."""
    could = able(needs, workers)
    if any(worker.takes for worker in could):
        return ""
    if could:
        return f"{_list([worker.id for worker in could])} could, and {_resting(could)}"
    return why_nobody(needs, [(worker.id, worker.about) for worker in workers if worker.live])


def _resting(workers: Sequence[Worker]) -> str:
    states = sorted({worker.state for worker in workers})
    return f"{'is' if len(workers) == 1 else 'are'} {_list(states)}"


def _list(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c", and of many the first five."""
    shown = list(items) if len(items) <= 6 else [*items[:5], f"{len(items) - 5} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)
