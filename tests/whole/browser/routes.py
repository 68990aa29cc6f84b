"""Every page and action of the dashboard, from the table that guards them: a new one is tested at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

from app.web.dashboard.door import EVERYBODY, ROLES

# What is no page though it is asked for with GET.
NO_PAGE = re.compile(r"/(live|events|jobs[.]\w+)|.*/(raw|thumbs/.*)")
# With what a page is asked for.
ASKED = {
    "/bulk": "/bulk?action=cancel&all=1",
    "/setup": "/setup?t={link}",
    "/jobs/{job_id}/log": "/jobs/{hostile}/log?q=e",
}
RANKS = (EVERYBODY, "viewer", "operator", "admin")

Places = Mapping[str, Sequence[str]]  # what stands for a parameter of a path


class Guarded(NamedTuple):
    """A route of the dashboard, and the role it takes."""

    method: str
    path: str
    role: str

    def addresses(self, places: Places) -> list[str]:
        """The path with all that may stand in it."""
        path = ASKED.get(self.path, self.path)
        choices = product(*(places[name] for name in re.findall(r"{(\w+)}", path)))
        return [re.sub(r"{\w+}", "{}", path).format(*chosen) for chosen in choices]


ROUTES = sorted(Guarded(*route.split(" ", 1), role) for route, role in ROLES.items())
PAGES = [one for one in ROUTES if one.method == "GET" and not NO_PAGE.fullmatch(one.path)]
ACTIONS = [one for one in ROUTES if one.method != "GET"]


def name(route: Guarded) -> str:
    """How a test's parameter is called."""
    return f"{route.method} {route.path}"


def below(role: str) -> list[str]:
    """The roles that may not do what takes this one."""
    return list(RANKS[1 : RANKS.index(role)]) if role else []
