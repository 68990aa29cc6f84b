"""Templates and static files: where they are, and how a page is made of them."""

from __future__ import annotations

from pathlib import Path

_APP = Path(__file__).resolve().parent.parent


def asset_dir(name: str) -> Path:
    """The folder `templates` or `static`: inside the package when installed, beside it in a checkout."""
    installed = _APP / name
    return installed if installed.is_dir() else _APP.parent / name
