"""Whether a worker takes new jobs: what its own host and the coordinators have told it. Pure."""

from __future__ import annotations

import logging

log = logging.getLogger("ffgrid.worker")


class Orders:
    """Its own host's word holds for good; a coordinator's until it is taken back."""

    def __init__(self) -> None:
        self.leaving = False  # told so by its own host
        self._order, self._as_of = "", 0.0

    @property
    def draining(self) -> bool:
        """Whether it ends with its last job."""
        return self.leaving or self._order == "drain"

    @property
    def rests(self) -> bool:
        """Whether it takes nothing new."""
        return self.leaving or bool(self._order)

    def hear(self, order: str, as_of: float) -> bool:
        """Obeys "pause", "drain" or "" (neither), unless it was told otherwise since `as_of`, on its own clock.

        Whether the coordinators have to be told that it drains all the same.
        """
        if as_of < self._as_of:
            return False
        if order != self._order:
            log.info("told to %s", order or "resume")
        self._order, self._as_of = order, as_of
        return self.leaving and order != "drain"
