"""Randomness of a run: drawn from its recorded seed, the place of the task and the number of the
draw, and so the same whenever the run is replayed.
"""

from __future__ import annotations

import hashlib
import json
import random
import uuid

from aion_core.ids import RunId
from aion_core.machine.kernel import Task

__all__ = ["drawn_bytes", "next_random", "next_uuid", "successor_of"]


def next_random(task: Task) -> random.Random:
    """A generator of its own for each call."""
    seed = int.from_bytes(_drawn(task, "random", 32))
    return random.Random(seed)


def next_uuid(task: Task) -> uuid.UUID:
    """A random UUID: version 4 of RFC 9562, section 5.4."""
    return uuid.UUID(bytes=_drawn(task, "uuid", 16), version=4)


def successor_of(random_seed: int, run_id: RunId, purpose: str) -> tuple[RunId, int]:
    """Id and seed of a run that another one brings about."""
    drawn = drawn_bytes([random_seed, run_id, purpose], 24)
    successor = uuid.UUID(bytes=drawn[:16], version=4)
    return RunId(str(successor)), int.from_bytes(drawn[16:]) >> 1


def drawn_bytes(source: list[object], size: int) -> bytes:
    """Bytes that look random and follow from ``source``. BLAKE2b, as in RFC 7693."""
    return hashlib.blake2b(json.dumps(source).encode(), digest_size=size).digest()


def _drawn(task: Task, kind: str, size: int) -> bytes:
    environment = task.environment
    # Else a question would change what the code draws next.
    environment.check_may_change("a random draw")
    started = environment.started
    source: list[object] = [started.random_seed, kind, task.path, task.next_ordinal(kind)]
    return drawn_bytes(source, size)
