"""The one matching rule: which intent event a command leaves, and when an event stands for it.

Compared are the family, the key and, for activities and children, the type, under its present name
or a former one; for markers, their name. Never input or options, because those recorded hold. A
command that ends the run has no key: it stands for its end if the result, the type of the error,
or the input of the next run is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter, eq
from typing import Any, TypeAlias

import attrs

from aion_core import commands as c
from aion_core import events as e
from aion_core.ids import WorkflowId
from aion_core.making import maker
from aion_core.payloads import Payload
from aion_core.replay.keys import key_field, key_of, key_of_event

__all__ = ["SamePayload", "describe", "intent_of", "point", "same_intent"]

SamePayload: TypeAlias = Callable[[Payload, Payload], bool]
"""Do two stored values stand for the same one? ``PayloadConverter.same`` looks behind codecs."""

_activity_scheduled = maker(e.ActivityScheduled)

_ENVELOPE = {field.name for field in attrs.fields(e.HistoryEvent)}


@attrs.frozen
class _Family:
    """An anchored command and the event that records it. Their fields have the same names.

    Attributes:
        command: its class.
        event: the class of what it leaves.
        facts: names of what both must have in common beside the key.
        payload: name of a stored value that must be the same in both.
        type_name: name of the type that both must agree on; aliases of the command count.
    """

    command: type[c.AnchoredCommand]
    event: type[e.HistoryEvent]
    facts: tuple[str, ...] = ()
    payload: str | None = None
    type_name: str | None = None
    compared: Callable[[object], object] = attrs.field(init=False)
    recorded: tuple[str, ...] = attrs.field(init=False)

    @compared.default
    def _key_and_facts(self) -> Callable[[object], object]:
        key = key_field(self.command)
        names = self.facts if key is None else (key, *self.facts)
        return attrgetter(*names) if names else _nothing

    @recorded.default
    def _fields_of_the_event(self) -> tuple[str, ...]:
        fields = attrs.fields(self.event)
        return tuple(field.name for field in fields if field.name not in _ENVELOPE)


def _nothing(subject: object) -> None:
    """Of some commands nothing is compared but the family."""


_FAMILIES: dict[type[object], _Family] = {
    family.command: family
    for family in (
        _Family(c.RunActivity, e.ActivityScheduled, type_name="activity_type"),
        _Family(c.CancelActivity, e.ActivityCancelRequested),
        _Family(c.StartTimer, e.TimerStarted),
        _Family(c.CancelTimer, e.TimerCancelled),
        _Family(c.SpawnChild, e.ChildWorkflowStarted, type_name="workflow_type"),
        _Family(c.CancelChild, e.ChildCancelRequested),
        _Family(c.SendSignal, e.SignalSent),
        # Else `patched("a")` would be answered by what was decided for "b".
        _Family(c.RecordMarker, e.MarkerRecorded, ("name",)),
        _Family(c.UpdateSearchAttributes, e.SearchAttributesUpdated),
        _Family(c.CompleteUpdate, e.UpdateCompleted),
        _Family(c.FailUpdate, e.UpdateFailed),
        _Family(c.CompleteWorkflow, e.WorkflowCompleted, payload="result"),
        _Family(c.FailWorkflow, e.WorkflowFailed, ("error.type",)),
        _Family(c.CancelWorkflow, e.WorkflowCancelled),
        # The id of the next run was drawn once, and what was recorded holds.
        _Family(c.ContinueAsNew, e.WorkflowContinuedAsNew, ("workflow_type",), payload="input"),
    )
}


def intent_of(
    command: c.AnchoredCommand, seq: int, recorded_at: datetime, workflow_id: WorkflowId
) -> e.HistoryEvent:
    """The event that records a command."""
    if type(command) is c.RunActivity:
        # Most of all commands; what follows comes to the same, later.
        return _activity_scheduled(
            seq=seq,
            recorded_at=recorded_at,
            workflow_id=workflow_id,
            activity_id=command.activity_id,
            activity_type=command.activity_type,
            input=command.input,
            options=command.options,
        )
    family = _FAMILIES[type(command)]
    fields: dict[str, Any] = {name: getattr(command, name) for name in family.recorded}
    return family.event(seq=seq, recorded_at=recorded_at, workflow_id=workflow_id, **fields)


def same_intent(
    command: c.AnchoredCommand, recorded: e.HistoryEvent, same: SamePayload = eq
) -> bool:
    """Does what the code asks for now stand for what history holds?

    Args:
        same: when two stored values are the same; by default to the byte.
    """
    if type(command) is c.RunActivity and type(recorded) is e.ActivityScheduled:
        # Most of all commands; what follows comes to the same, later.
        if command.activity_id != recorded.activity_id:
            return False
        name = recorded.activity_type
        return name == command.activity_type or name in command.aliases
    family = _FAMILIES[type(command)]
    if type(recorded) is not family.event:
        return False
    if family.compared(command) != family.compared(recorded):
        return False
    if family.payload is not None:
        return same(getattr(command, family.payload), getattr(recorded, family.payload))
    if family.type_name is None:
        return True
    name = getattr(recorded, family.type_name)
    return name == getattr(command, family.type_name) or name in command.aliases  # type: ignore[union-attr]  # it has a type


def describe(subject: c.Command | e.HistoryEvent) -> str:
    """An event, or a command by the event it leaves, in a few words for an error message."""
    key = key_of_event(subject) if isinstance(subject, e.HistoryEvent) else key_of(subject)
    place = "" if key is None else f" ({key})"
    family = _FAMILIES.get(type(subject))
    name = type(subject).__name__ if family is None else family.event.__name__
    match subject:
        case c.RunActivity() | e.ActivityScheduled():
            return f"{name} of {subject.activity_type!r}{place}"
        case c.SpawnChild() | e.ChildWorkflowStarted():
            return f"{name} of {subject.workflow_type!r}{place}"
        case c.RecordMarker() | e.MarkerRecorded():
            return f"{name} of {subject.name!r}{place}"
        case c.FailWorkflow() | e.WorkflowFailed():
            return f"{name} ({subject.error.type}: {subject.error.message})"
        case e.SignalReceived():
            return f"{name} ({subject.name!r})"
        case _:
            return f"{name}{place}"


def point(event: e.HistoryEvent | None) -> str | None:
    """An event as a point in history: ``event 7: ActivityCompleted (activity:0)``."""
    return None if event is None else f"event {event.seq}: {describe(event)}"
