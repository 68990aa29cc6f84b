"""Short walks that somebody has thought of: each goes where chance seldom does. Importing them fills the table."""

from __future__ import annotations

from tests.model.stories import beside, endings, hints, holders, lives, silence
from tests.model.stories.tale import STORIES, Tale

__all__ = ["STORIES", "Tale", "beside", "endings", "hints", "holders", "lives", "silence"]
