"""Scripts: what the world does to workflows, item by item. For `explore_crashes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeVar

import attrs

from aion_core.authoring.activities import Activity
from aion_core.authoring.queries import Query
from aion_core.authoring.signals import Signal
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import Workflow
from aion_core.errors import AionError

__all__ = [
    "Arrival",
    "Ask",
    "Cancel",
    "Fire",
    "Item",
    "Outcome",
    "Script",
    "ScriptError",
    "SendSignal",
    "SendUpdate",
    "Start",
    "Terminate",
    "ask",
    "bursts_of",
    "cancel",
    "fire",
    "outcome",
    "signal",
    "start",
    "terminate",
    "update",
]

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")


class ScriptError(AionError):
    """An item of a script does not fit what is going on when its turn has come."""


@attrs.frozen(eq=False)
class Outcome:
    """See `outcome`."""

    activity: Activity[..., Any]
    value: object
    nth: int
    of: str | None

    def __str__(self) -> str:
        return f"outcome({self.activity.name}, {self.value!r})"


@attrs.frozen(eq=False)
class SendSignal:
    """See `signal`."""

    signal: Signal[Any]
    value: object
    to: str | None

    def __str__(self) -> str:
        return f"signal({self.signal.name}, {self.value!r})"


@attrs.frozen(eq=False)
class SendUpdate:
    """See `update`."""

    update: Update[Any, Any]
    arg: object
    to: str | None

    def __str__(self) -> str:
        return f"update({self.update.name}, {self.arg!r})"


@attrs.frozen(eq=False)
class Ask:
    """See `ask`."""

    query: Query[Any]
    to: str | None

    def __str__(self) -> str:
        return f"ask({self.query.name})"


@attrs.frozen(eq=False)
class Fire:
    """See `fire`."""

    timer: str | None

    def __str__(self) -> str:
        return "fire()" if self.timer is None else f"fire({self.timer!r})"


@attrs.frozen(eq=False)
class Cancel:
    """See `cancel`."""

    to: str | None
    reason: str

    def __str__(self) -> str:
        return "cancel()"


@attrs.frozen(eq=False)
class Terminate:
    """See `terminate`."""

    to: str | None
    reason: str

    def __str__(self) -> str:
        return "terminate()"


@attrs.frozen(eq=False)
class Start:
    """See `start`."""

    workflow: Workflow[..., Any]
    args: tuple[object, ...]
    workflow_id: str

    def __str__(self) -> str:
        return f"start({self.workflow.name}, workflow_id={self.workflow_id!r})"


Arrival: TypeAlias = Outcome | SendSignal | SendUpdate | Ask | Fire | Cancel | Terminate | Start

Item: TypeAlias = Arrival | Sequence[Arrival]
"""One arrival, or several that come so close together that they are taken in one step."""

Script: TypeAlias = Sequence[Item]


def outcome(
    activity: Activity[..., Any], value: object, *, nth: int = 0, of: str | None = None
) -> Outcome:
    """An attempt of an activity ends: it returns the value, or raises it if it is an exception.

    Args:
        nth: of those attempts of this activity that are under way, the oldest being 0.
        of: only those of the workflow with this id.
    """
    return Outcome(activity, value, nth, of)


def signal(signal: Signal[T], value: T, *, to: str | None = None) -> SendSignal:
    """Somebody sends a signal.

    Args:
        to: the id of a workflow; the one that is explored when not given.
    """
    return SendSignal(signal, value, to)


def update(update: Update[A, R], arg: A, *, to: str | None = None) -> SendUpdate:
    """Somebody asks for an update, and waits for the answer; ``to`` as for `signal`."""
    return SendUpdate(update, arg, to)


def ask(query: Query[T], *, to: str | None = None) -> Ask:
    """Somebody asks a query. The answers have to agree, too; ``to`` as for `signal`."""
    return Ask(query, to)


def fire(timer: str | None = None) -> Fire:
    """Time passes until a timer fires, and no further.

    Args:
        timer: a name that was given to ``start_timer``; the next instant at which a timer fires or
            a failed activity is tried again when not given.
    """
    return Fire(timer)


def cancel(*, to: str | None = None, reason: str = "cancelled from outside") -> Cancel:
    """Somebody asks a workflow to stop; ``to`` as for `signal`."""
    return Cancel(to, reason)


def terminate(*, to: str | None = None, reason: str = "terminated from outside") -> Terminate:
    """Somebody ends a workflow without asking its code; ``to`` as for `signal`."""
    return Terminate(to, reason)


def start(workflow: Workflow[..., Any], *args: object, workflow_id: str) -> Start:
    """Somebody starts another workflow beside the one that is explored."""
    return Start(workflow, args, workflow_id)


def bursts_of(script: Script) -> list[tuple[Arrival, ...]]:
    """Every item as a burst: a single arrival as a burst of one."""
    return [(item,) if isinstance(item, Arrival) else tuple(item) for item in script]
