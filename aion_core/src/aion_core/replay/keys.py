"""Correlation keys: which call of the code an event belongs to.

Keys are scoped to a run: their counters start again with each. Nothing is compared here.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from aion_core import commands as c
from aion_core import events as e
from aion_core.ids import ROOT_PATH, position

__all__ = ["CorrelationKey", "KeyKind", "key_field", "key_of", "key_of_event"]

KeyKind: TypeAlias = Literal[
    "activity", "timer", "child", "signal", "sent_signal", "marker", "attributes", "update"
]
"""What a key stands for. Two kinds never share a key."""


@attrs.frozen
class CorrelationKey:
    """The name that a call and the events about it have in common.

    Where an ordinal is taken, it counts the calls of the root task; calls of other tasks are given
    by their structural position, ``activity:1/0``.

    Attributes:
        id: a structural position, a timer id, the name of a signal, or the id of an update.
        index: of a received signal, the how-manieth of its name it is, from 0.
    """

    kind: KeyKind
    id: str
    index: int = 0

    @classmethod
    def activity(cls, call: int | str) -> CorrelationKey:
        """Of a call of an activity."""
        return cls("activity", call if isinstance(call, str) else _in_root("activity", call))

    @classmethod
    def child(cls, call: int | str) -> CorrelationKey:
        """Of a start of a child workflow."""
        return cls("child", call if isinstance(call, str) else _in_root("child", call))

    @classmethod
    def timer(cls, timer_id: str) -> CorrelationKey:
        """Of a timer."""
        return cls("timer", timer_id)

    @classmethod
    def signal(cls, name: str, index: int) -> CorrelationKey:
        """Of the ``index``-th signal of a name that the run received, from 0."""
        return cls("signal", name, index)

    @classmethod
    def sent_signal(cls, call: int | str) -> CorrelationKey:
        """Of a signal that the run sent."""
        return cls("sent_signal", call if isinstance(call, str) else _in_root("signal", call))

    @classmethod
    def marker(cls, call: int | str) -> CorrelationKey:
        """Of a marker."""
        return cls("marker", call if isinstance(call, str) else _in_root("marker", call))

    @classmethod
    def attributes(cls, call: int | str) -> CorrelationKey:
        """Of a change of the search attributes."""
        return cls("attributes", call if isinstance(call, str) else _in_root("attributes", call))

    @classmethod
    def update(cls, update_id: str) -> CorrelationKey:
        """Of an update."""
        return cls("update", update_id)

    def __str__(self) -> str:
        if self.kind == "signal":
            return f"signal {self.id!r} #{self.index}"
        return f"update {self.id!r}" if self.kind == "update" else self.id


def _in_root(
    kind: Literal["activity", "child", "signal", "marker", "attributes"], call: int
) -> str:
    return position(kind, ROOT_PATH, call)


def key_of(command: c.Command) -> CorrelationKey | None:
    """The key of a command; None for those that end the run, and for `Park`."""
    if isinstance(command, c.AwaitSignal):
        return CorrelationKey("signal", command.name, command.index)
    found = _OF_COMMANDS.get(type(command))
    return None if found is None else CorrelationKey(found[0], getattr(command, found[1]))


def key_of_event(event: e.HistoryEvent) -> CorrelationKey | None:
    """The key of the call that an event is about.

    None for events about the whole run, and for SignalReceived: its index follows from the
    signals before it.
    """
    found = _OF_EVENTS.get(type(event))
    return None if found is None else CorrelationKey(found[0], getattr(event, found[1]))


def key_field(command_type: type[c.AnchoredCommand]) -> str | None:
    """The field that tells calls of one kind apart, the same in a command and in its intent."""
    found = _OF_COMMANDS.get(command_type)
    return None if found is None else found[1]


_OF_COMMANDS: dict[type[object], tuple[KeyKind, str]] = {
    c.RunActivity: ("activity", "activity_id"),
    c.CancelActivity: ("activity", "activity_id"),
    c.StartTimer: ("timer", "timer_id"),
    c.CancelTimer: ("timer", "timer_id"),
    c.AwaitTimer: ("timer", "timer_id"),
    c.SpawnChild: ("child", "child_key"),
    c.CancelChild: ("child", "child_key"),
    c.AwaitChild: ("child", "child_key"),
    c.SendSignal: ("sent_signal", "position"),
    c.RecordMarker: ("marker", "position"),
    c.UpdateSearchAttributes: ("attributes", "position"),
    c.CompleteUpdate: ("update", "update_id"),
    c.FailUpdate: ("update", "update_id"),
}

_OF_EVENTS: dict[type[object], tuple[KeyKind, str]] = {
    e.ActivityScheduled: ("activity", "activity_id"),
    e.ActivityStarted: ("activity", "activity_id"),
    e.ActivityCompleted: ("activity", "activity_id"),
    e.ActivityFailed: ("activity", "activity_id"),
    e.ActivityCancelRequested: ("activity", "activity_id"),
    e.ActivityCancelled: ("activity", "activity_id"),
    e.TimerStarted: ("timer", "timer_id"),
    e.TimerFired: ("timer", "timer_id"),
    e.TimerCancelled: ("timer", "timer_id"),
    e.ChildWorkflowStarted: ("child", "child_key"),
    e.ChildCancelRequested: ("child", "child_key"),
    e.ChildWorkflowCompleted: ("child", "child_key"),
    e.ChildWorkflowFailed: ("child", "child_key"),
    e.ChildWorkflowCancelled: ("child", "child_key"),
    e.SignalSent: ("sent_signal", "position"),
    e.MarkerRecorded: ("marker", "position"),
    e.SearchAttributesUpdated: ("attributes", "position"),
    e.UpdateAccepted: ("update", "update_id"),
    e.UpdateCompleted: ("update", "update_id"),
    e.UpdateFailed: ("update", "update_id"),
}
