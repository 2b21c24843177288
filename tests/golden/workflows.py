"""All tales. Together they use everything that a workflow can."""

from __future__ import annotations

from tests.golden import activities, changes, children, concurrency, lives, messages, timing
from tests.golden.tales import Tale

__all__ = ["TALES", "THEMES", "tale_of"]

THEMES = (activities, changes, children, concurrency, lives, messages, timing)

TALES: list[Tale] = [tale for theme in THEMES for tale in theme.TALES]


def tale_of(name: str) -> Tale:
    """The tale of a workflow."""
    (tale,) = (tale for tale in TALES if tale.workflow.name == name)
    return tale
