"""The ledger: what the activities did, written by themselves, one line per execution.

Independent of the engine's store and never de-duplicated: a line says that an activity's function
was entered, whatever became of it. The check compares it with what the store says.
"""

from __future__ import annotations

import contextvars
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

import attrs

__all__ = ["LEDGER", "Execution", "Ledger", "LedgerTail", "read_ledger"]


@attrs.frozen(kw_only=True)
class Execution:
    """One line.

    Attributes:
        pid: the process that executed it.
        count: the how-manyth execution of that process.
        activity: the activity's type.
    """

    pid: int
    count: int
    workflow_id: str
    activity_id: str
    activity: str
    attempt: int


class Ledger:
    """The writing end, for one process."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._counter = itertools.count(1)

    def write(self, workflow_id: str, activity_id: str, activity: str, attempt: int) -> None:
        """Append a line, from any thread. It is there, whole, whenever the process dies after."""
        execution = Execution(
            pid=os.getpid(),
            count=next(self._counter),
            workflow_id=workflow_id,
            activity_id=activity_id,
            activity=activity,
            attempt=attempt,
        )
        line = json.dumps(attrs.asdict(execution)).encode() + b"\n"
        if os.write(self._fd, line) != len(line):
            raise OSError(f"the ledger took only a part of a line of {len(line)} bytes")

    def close(self) -> None:
        """Write no more."""
        os.close(self._fd)


LEDGER: contextvars.ContextVar[Ledger] = contextvars.ContextVar("aion_demo_ledger")
"""Set before the engine is opened: activities run in a copy of that context."""


class LedgerTail:
    """The reading end: gives each line once, as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> Sequence[Execution]:
        """The lines that have come since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return []
        self._offset += len(whole) + len(newline)
        return [Execution(**json.loads(line)) for line in whole.split(b"\n") if line]


def read_ledger(path: Path) -> Sequence[Execution]:
    """All lines, oldest first; none when nothing was executed."""
    return LedgerTail(path).read()
