"""Events as one JSON object each, beside the envelope and the kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from aion_core import events as e
from aion_core.codec.compiled import ENVELOPE, compile_reader
from aion_core.codec.hooks import make_converter
from aion_core.codec.instants import EPOCH
from aion_core.codec.scheduled import ScheduledText
from aion_core.errors import CorruptHistoryError
from aion_core.ids import WorkflowId
from aion_core.json_text import read_json, write_json

__all__ = ["decode_event", "encode_event", "kind_of"]

# Written out: a class may be renamed, what is on disk not.
_KINDS: dict[str, type[e.HistoryEvent]] = {
    "WorkflowStarted": e.WorkflowStarted,
    "WorkflowCompleted": e.WorkflowCompleted,
    "WorkflowFailed": e.WorkflowFailed,
    "WorkflowCancelRequested": e.WorkflowCancelRequested,
    "WorkflowCancelled": e.WorkflowCancelled,
    "WorkflowTerminated": e.WorkflowTerminated,
    "WorkflowTimedOut": e.WorkflowTimedOut,
    "WorkflowContinuedAsNew": e.WorkflowContinuedAsNew,
    "WorkflowReopened": e.WorkflowReopened,
    "WorkflowPaused": e.WorkflowPaused,
    "WorkflowResumed": e.WorkflowResumed,
    "WorkflowVersionAdopted": e.WorkflowVersionAdopted,
    "SearchAttributesUpdated": e.SearchAttributesUpdated,
    "ActivityScheduled": e.ActivityScheduled,
    "ActivityStarted": e.ActivityStarted,
    "ActivityCompleted": e.ActivityCompleted,
    "ActivityFailed": e.ActivityFailed,
    "ActivityCancelRequested": e.ActivityCancelRequested,
    "ActivityCancelled": e.ActivityCancelled,
    "TimerStarted": e.TimerStarted,
    "TimerFired": e.TimerFired,
    "TimerCancelled": e.TimerCancelled,
    "SignalReceived": e.SignalReceived,
    "SignalSent": e.SignalSent,
    "UpdateAccepted": e.UpdateAccepted,
    "UpdateCompleted": e.UpdateCompleted,
    "UpdateFailed": e.UpdateFailed,
    "ChildWorkflowStarted": e.ChildWorkflowStarted,
    "ChildCancelRequested": e.ChildCancelRequested,
    "ChildWorkflowCompleted": e.ChildWorkflowCompleted,
    "ChildWorkflowFailed": e.ChildWorkflowFailed,
    "ChildWorkflowCancelled": e.ChildWorkflowCancelled,
    "MarkerRecorded": e.MarkerRecorded,
    "ScheduleCreated": e.ScheduleCreated,
    "ScheduleUpdated": e.ScheduleUpdated,
    "SchedulePaused": e.SchedulePaused,
    "ScheduleResumed": e.ScheduleResumed,
    "ScheduleDeleted": e.ScheduleDeleted,
    "ScheduleTriggered": e.ScheduleTriggered,
}
_KIND_OF = {cls: kind for kind, cls in _KINDS.items()}


def kind_of(event: e.HistoryEvent) -> str:
    """The stable name of an event's class."""
    return _KIND_OF[event.__class__]


def encode_event(event: e.HistoryEvent) -> str:
    """The event's own fields as JSON text; kind and envelope are stored beside it.

    Raises:
        TypeError: an activity's option or a search attribute is of a type that it cannot have, or
            an instant has no zone.
        ValueError: a number in it is none, or UTC has no date for an instant.
    """
    if event.__class__ is e.ActivityScheduled:
        return _SCHEDULED.write(event)
    return write_json(_WRITERS[event.__class__](event))


def decode_event(
    kind: str, data: str, *, seq: int, recorded_at: datetime, workflow_id: WorkflowId
) -> e.HistoryEvent:
    """Read an event back.

    Raises:
        CorruptHistoryError: unknown kind, no JSON, or a field missing or of a wrong type.
    """
    reader = _READERS.get(kind)
    if reader is None:
        raise CorruptHistoryError(workflow_id, seq, "kind", f"unknown kind {kind!r}")
    try:
        fields = _SCHEDULED.read(data) if kind == "ActivityScheduled" else read_json(data)
        # A list of the fields' names would pass for an object that has them all.
        if fields.__class__ is dict:
            return reader(fields, seq, recorded_at, workflow_id)
        raise TypeError("expected an object")
    except Exception as error:
        place, reason = _explain(kind, data, error)
        raise CorruptHistoryError(workflow_id, seq, place, reason) from error


def _explain(kind: str, data: str, error: Exception) -> tuple[str, str]:
    """Read once more with the slow converter that knows where it stands."""
    try:
        fields = read_json(data)
    except (TypeError, ValueError, RecursionError) as broken:
        return "$", f"not JSON: {broken}"
    if not isinstance(fields, dict):
        return "$", "expected an object"
    fields |= {"seq": 1, "recorded_at": EPOCH, "workflow_id": "w"}
    try:
        _CAREFUL.structure(fields, _KINDS[kind])
    except Exception as detailed:
        first = cattrs.transform_error(detailed, "$", lambda found, _: _describe(found))[0]
        reason, _, place = first.rpartition(" @ ")
        return place, reason
    return "$", _describe(error)


def _describe(error: BaseException) -> str:
    return f"field {error} is missing" if isinstance(error, KeyError) else str(error)


def _writer(
    cls: type[e.HistoryEvent], converter: cattrs.Converter, *besides: str
) -> Callable[[Any], dict[str, Any]]:
    """Makes plain the fields of an event but its envelope and those named ``besides``."""
    omitted: dict[str, Any] = {name: override(omit=True) for name in (*ENVELOPE, *besides)}
    return make_dict_unstructure_fn(
        cls, converter, _cattrs_omit_if_default=True, _cattrs_use_linecache=False, **omitted
    )


_CONVERTER = make_converter(detailed=False)
_CAREFUL = make_converter(detailed=True)
_WRITERS = {cls: _writer(cls, _CONVERTER) for cls in _KINDS.values()}
_READERS = {kind: compile_reader(cls, _CONVERTER) for kind, cls in _KINDS.items()}
_SCHEDULED = ScheduledText(_CONVERTER, _writer(e.ActivityScheduled, _CONVERTER, "options"))
