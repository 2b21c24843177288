"""Events as one JSON object each, beside the envelope and the kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from aion_core import events as e
from aion_core.codec.compiled import (
    ENVELOPE,
    ReadEvent,
    WriteEvent,
    compile_reader,
    compile_writer,
)
from aion_core.codec.hooks import make_converter
from aion_core.codec.instants import EPOCH
from aion_core.codec.scheduled import OptionsText
from aion_core.errors import CorruptHistoryError
from aion_core.generating import MadeOnce
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
        KeyError: its class is none of those that are stored, such as a subclass of one.
        ValueError: a number in it is none, or UTC has no date for an instant.
    """
    try:
        return _WRITERS[event.__class__](event)
    except Exception:
        pass  # The careful one decides; what it says has nothing to do with this.
    return _encode_carefully(event)


def _encode_carefully(event: e.HistoryEvent) -> str:
    """For what the compiled writers do not know, such as bytes that are no text."""
    if event.__class__ is e.ActivityScheduled:
        # Refuses those that could not be read.
        _OPTIONS.text_of(event.options)
    return write_json(_PLAIN_WRITERS[event.__class__](event))


def decode_event(
    kind: str, data: str, *, seq: int, recorded_at: datetime, workflow_id: WorkflowId
) -> e.HistoryEvent:
    """Read an event back.

    Raises:
        CorruptHistoryError: unknown kind, no JSON, or a field missing or of a wrong type.
    """
    if kind not in _KINDS:
        raise CorruptHistoryError(workflow_id, seq, "kind", f"unknown kind {kind!r}")
    reader = _READERS[kind]
    try:
        return reader(data, seq, recorded_at, workflow_id)
    except Exception as error:
        failed = error
    bare = data.strip(_WHITE_SPACE)
    if bare != data:
        try:
            return reader(bare, seq, recorded_at, workflow_id)
        except Exception as error:
            failed = error
    place, reason = _explain(kind, data, failed)
    raise CorruptHistoryError(workflow_id, seq, place, reason) from failed


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
        make_converter(detailed=True).structure(fields, _KINDS[kind])
    except Exception as detailed:
        first = cattrs.transform_error(detailed, "$", lambda found, _: _describe(found))[0]
        reason, _, place = first.rpartition(" @ ")
        return place, reason
    return "$", _describe(error)


def _describe(error: BaseException) -> str:
    return f"field {error} is missing" if isinstance(error, KeyError) else str(error)


_WHITE_SPACE = " \t\n\r"
"""What JSON allows around a value. We write none."""
_CONVERTER = make_converter(detailed=False)
_OPTIONS = OptionsText(_CONVERTER)


def _make_reader(kind: str) -> ReadEvent:
    parse = _OPTIONS.parse_scheduled if kind == "ActivityScheduled" else None
    return compile_reader(_KINDS[kind], _CONVERTER, parse)


def _known(cls: type[e.HistoryEvent]) -> type[e.HistoryEvent]:
    """The class itself. Raises KeyError: it has no kind, so what is written is read by nobody."""
    return _KINDS[_KIND_OF[cls]]


def _make_writer(cls: type[e.HistoryEvent]) -> WriteEvent:
    return compile_writer(_known(cls), _CONVERTER, {"options": _OPTIONS.text_of})


def _make_plain_writer(cls: type[e.HistoryEvent]) -> Callable[[Any], dict[str, Any]]:
    omitted: dict[str, Any] = {name: override(omit=True) for name in ENVELOPE}
    return make_dict_unstructure_fn(
        _known(cls),
        _CONVERTER,
        _cattrs_omit_if_default=True,
        _cattrs_use_linecache=False,
        **omitted,
    )


# To make the functions of a kind takes a millisecond or two, and hardly a process meets them all.
_READERS = MadeOnce(_make_reader)
_WRITERS = MadeOnce(_make_writer)
_PLAIN_WRITERS = MadeOnce(_make_plain_writer)
