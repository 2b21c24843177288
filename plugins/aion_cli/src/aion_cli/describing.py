"""Describing: events, rows and summaries as short texts for people and as JSON for programs."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import attrs

from aion_core import events as e
from aion_core.codec import encode_event, kind_of
from aion_core.errors import PayloadError
from aion_core.failures import Failure
from aion_core.history import WorkflowSummary
from aion_core.payloads import Payload, PayloadConverter
from aion_runtime.wording import in_words

__all__ = [
    "event_as_json",
    "event_in_words",
    "payload_as_json",
    "payload_in_words",
    "status_word",
    "summary_as_json",
]


def summary_as_json(run: WorkflowSummary) -> dict[str, Any]:
    """One line about a workflow."""
    plain = attrs.asdict(run)
    plain["status"] = run.status.value
    return plain


def status_word(run: WorkflowSummary) -> str:
    """The status; of a run that is open and cannot go on, that."""
    return run.status.value if run.stuck is None else "stuck"


def payload_as_json(payload: Payload | None, converter: PayloadConverter) -> Any:
    """A stored value; what cannot be read is described by an object."""
    if payload is None:
        return None
    try:
        return converter.decode(payload, Any)
    except PayloadError as error:
        return {
            "unreadable": str(error),
            "content_type": payload.content_type,
            "bytes": len(payload.data),
        }


def payload_in_words(payload: Payload | None, converter: PayloadConverter) -> str:
    """A stored value as JSON text; what cannot be read in angle brackets."""
    if payload is None:
        return ""
    try:
        return json.dumps(converter.decode(payload, Any), ensure_ascii=False)
    except PayloadError:
        return f"<{payload.content_type}, {len(payload.data)} bytes>"


def event_as_json(event: e.HistoryEvent) -> dict[str, Any]:
    """An event in the form of `aion_runtime.testing.save_history`, as it is stored."""
    return {
        "seq": event.seq,
        "kind": kind_of(event),
        "recorded_at": event.recorded_at.isoformat(),
        "workflow_id": event.workflow_id,
        "fields": json.loads(encode_event(event)),
    }


def event_in_words(event: e.HistoryEvent, converter: PayloadConverter) -> str:
    """What an event says beside its kind."""

    def value(payload: Payload | None) -> str:
        return payload_in_words(payload, converter)

    match event:
        case e.WorkflowStarted():
            when = "" if event.not_before is None else f", not before {_clock(event.not_before)}"
            return f"{event.workflow_type}({value(event.input)}){when}"
        case e.WorkflowCompleted():
            return value(event.result)
        case e.WorkflowFailed() | e.UpdateFailed():
            return _failure(event.error)
        case e.WorkflowCancelRequested() | e.WorkflowCancelled() | e.WorkflowTerminated():
            return event.reason
        case e.WorkflowTimedOut():
            return f"its {event.timeout} time was over"
        case e.WorkflowContinuedAsNew():
            return f"{event.workflow_type or 'the same'}({value(event.input)})"
        case e.WorkflowPaused():
            return event.reason or ""
        case e.WorkflowVersionAdopted():
            return event.package_version
        case e.SearchAttributesUpdated():
            return ", ".join(f"{name}={item}" for name, item in event.attributes.items())
        case e.MarkerRecorded():
            what = value(event.payload) if event.failure is None else _failure(event.failure)
            return f"{event.name}: {what}"
        case e.SignalReceived():
            return f"{event.name}: {value(event.payload)}"
        case e.SignalSent():
            return f"{event.name} to {event.target_workflow_id}: {value(event.payload)}"
        case e.UpdateAccepted():
            return f"{event.name} ({event.update_id}): {value(event.arg)}"
        case e.UpdateCompleted():
            return f"{event.update_id}: {value(event.result)}"
        case e.TimerStarted():
            span = in_words(event.fire_at - event.recorded_at)
            return f"{event.timer_id}, {span}, until {_clock(event.fire_at)}"
        case e.TimerFired() | e.TimerCancelled():
            return event.timer_id
        case _:
            return _of_activity_or_child(event, converter)


def _of_activity_or_child(event: e.HistoryEvent, converter: PayloadConverter) -> str:
    match event:
        case e.ActivityScheduled():
            given = payload_in_words(event.input, converter)
            return f"{event.activity_id} {event.activity_type}({given})"
        case e.ActivityStarted():
            return f"{event.activity_id}, attempt {event.attempt}, delivery {event.delivery}"
        case e.ActivityCompleted():
            by = "" if event.supplied_by is None else f", supplied by {event.supplied_by}"
            return f"{event.activity_id}: {payload_in_words(event.result, converter)}{by}"
        case e.ActivityFailed():
            return f"{event.activity_id}, attempt {event.attempt}: {_failure(event.error)}" + (
                ", held for an operator"
                if event.held
                else ""
                if event.next_attempt_at is None
                else f", again at {_clock(event.next_attempt_at)}"
            )
        case e.ActivityCancelRequested():
            return event.activity_id
        case e.ActivityCancelled():
            return event.activity_id + ("" if event.detail is None else f": {event.detail}")
        case e.ChildWorkflowStarted():
            given = payload_in_words(event.input, converter)
            return f"{event.child_workflow_id} {event.workflow_type}({given})"
        case e.ChildCancelRequested():
            return event.child_key
        case e.ChildWorkflowCompleted():
            return f"{event.child_key}: {payload_in_words(event.result, converter)}"
        case e.ChildWorkflowFailed():
            return f"{event.child_key}: {_failure(event.error)}"
        case e.ChildWorkflowCancelled():
            return event.child_key + ("" if event.detail is None else f": {event.detail}")
        case _:
            return ""


def _failure(failure: Failure) -> str:
    return f"{failure.type}: {failure.message}"


def _clock(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S UTC")
