"""All actions: importing them fills the table."""

from __future__ import annotations

from tests.model import clients, lives, upkeep, work
from tests.model.table import ACTIONS

__all__ = ["ACTIONS", "clients", "lives", "upkeep", "work"]
