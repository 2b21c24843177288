"""Random draws in workflows: seeded by the run, and so the same whenever it is replayed."""

from __future__ import annotations

import random
import uuid

from aion_core.machine.randomness import next_random, next_uuid
from aion_core.machine.tasks import current_task

__all__ = ["rng", "uuid4"]


def rng() -> random.Random:
    """A random generator of its own for each call. Not for secrets: the seed is in history."""
    return next_random(current_task())


def uuid4() -> uuid.UUID:
    """A random UUID, version 4."""
    return next_uuid(current_task())
