"""A proxy may put everything below a path of its own, such as /ffgrid, and pass that path on or take it away."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class Below:
    """Tells the router which part of the path is not ours."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self._app = app
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and f"{scope['path']}/".startswith(f"{self._root}/"):
            scope = {**scope, "root_path": self._root}
        await self._app(scope, receive, send)
