"""A call whose connection was cut: it finds its job again, or a new one where the queue has forgotten that.

Forgotten is what Redis was told in the moments before it died, unless it writes everything down at once.
"""

from __future__ import annotations

from time import monotonic, sleep

from shim.connection import Connection, Refused, Unreachable
from shim.relay import CUT, Lost

TYPES = False
if TYPES:
    from collections.abc import Callable

    from shim.config import Config

RETURN_SECONDS = 45.0  # how long a cut connection is tried to be made again
FINAL = (401, 403, 404, 409, 422)  # answers that another try will not change
UNKNOWN = b"urn:ffgrid:no-such-job"
# A worker that runs a forgotten job hears of that at its next beat (1.5 s) and kills it: two must not write one file.
FENCED_SECONDS = 2.5
RENEWALS = 3  # how often one call is submitted anew
AGAIN_SECONDS = 0.5


class Comeback:
    """For one call. `attach` connects it and raises Refused or one of CUT; `again` submits it once more."""

    def __init__(
        self,
        config: Config,
        attach: Callable[[Connection], None],
        again: Callable[[], tuple[Connection, str]] | None,
    ) -> None:
        self._config = config
        self._attach = attach
        self._again = again
        self._cut_at = 0.0
        self._renewed = 0

    def attach(self, refused: Refused | None = None) -> bool:
        """Attaches to the job where that can be done; False when the job is not known. Raises Lost.

        `refused` is what the last coordinator has said already, if it has.
        """
        began, why = monotonic(), ""
        wait = 0.0 if began - self._cut_at > 1.0 else 0.1  # one that cuts again and again is not pestered
        self._cut_at = began
        if refused and self._is_unknown(refused):
            return False
        gone = self._config.urls[0]  # whoever cut us may be about to end: the others are asked first
        while monotonic() < began + RETURN_SECONDS:
            sleep(wait)
            wait = min(1.0, wait + 0.05)
            for url in sorted(self._config.urls, key=lambda url: url == gone):
                connection = None
                try:
                    connection = Connection(url, self._config.key)
                    self._attach(connection)
                    return True
                except Refused as answer:
                    why = answer.sentence()
                    if self._is_unknown(answer):
                        return False
                except CUT as error:
                    why = str(error)
                if connection:
                    connection.close()
        raise Lost(why)

    def submit(self, why_not: str) -> str:
        """The id of a new job in the place of one that is not known. `why_not`: why there must be none. Raises Lost."""
        if self._again is None or self._renewed == RENEWALS:
            why_not = why_not or "so it has others before it"
        if why_not:
            raise Lost(f"the queue has forgotten it, and {why_not}")
        self._renewed += 1
        sleep(FENCED_SECONDS)
        ends = monotonic() + RETURN_SECONDS
        while True:
            try:
                connection, job_id = self._again()  # type: ignore[misc]  # it is there, see above
                connection.close()
                return job_id
            except Unreachable as error:
                why = str(error)
            except Refused as refused:
                why = refused.sentence()
                if refused.status < 500:
                    ends = 0.0
            if monotonic() > ends:
                raise Lost(f"the queue has forgotten it, and {why}")
            sleep(AGAIN_SECONDS)

    def _is_unknown(self, refused: Refused) -> bool:
        """Raises Lost for any other answer that is final."""
        if refused.status == 404 and UNKNOWN in refused.body:
            return True
        if refused.status in FINAL:
            raise Lost(refused.sentence())
        return False
