"""Waits: what the code of a run stands and waits for, as plain values, for people who ask.

It only looks. What has rows of its own (timers, activities, children) is known to every store; here
is what only the code knows: names of signals, conditions, and the lines where tasks stand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from aion_core.machine.places import waits_at

if TYPE_CHECKING:
    from aion_core.machine.kernel import Kernel, Task

__all__ = ["WAITS_QUERY", "Wait", "waits_of"]

WAITS_QUERY = "aion.waits"
"""The query that every run answers with a list of `Wait`."""


@attrs.frozen
class Wait:
    """A task of the code that waits.

    Attributes:
        kind: ``signal`` for the next one of a name, ``condition`` for one of `wait_until`, ``task``
            for anything else.
        name: of the signal; else empty.
        file: where in the author's code it waits; None when that cannot be seen.
        line: in that file.
    """

    kind: Literal["signal", "condition", "task"]
    name: str = ""
    file: str | None = None
    line: int | None = None


def waits_of(kernel: Kernel) -> tuple[Wait, ...]:
    """What each waiting task of a run waits for, the oldest task first."""
    signals = kernel.environment.signals.awaited()
    conditions = kernel.predicates.waiting()
    parked = (task for task in kernel.all_tasks() if task.abort is not None)
    return tuple(_wait(task, signals, conditions) for task in parked)


def _wait(task: Task, signals: dict[Task, str], conditions: frozenset[Task]) -> Wait:
    file, line = waits_at(task.coroutine) or (None, None)
    if task in signals:
        return Wait("signal", signals[task], file, line)
    return Wait("condition" if task in conditions else "task", "", file, line)
