"""Lines: what is told of an event, of an attempt, and of a run that is stuck.

One JSON object each. Values of users (inputs, results, signals) are left out: a log is read by more
people than a store.
"""

from __future__ import annotations

import json
from datetime import datetime

from aion_core.contracts import ActivityAttempted
from aion_core.events import HistoryEvent
from aion_core.failures import Failure
from aion_core.ids import WorkflowId

__all__ = ["attempt_line", "event_line", "stuck_line"]

TOLD = (
    "run_id",
    "workflow_type",
    "continued_from",
    "activity_id",
    "activity_type",
    "attempt",
    "delivery",
    "next_attempt_at",
    "timer_id",
    "fire_at",
    "name",
    "signal_id",
    "update_id",
    "child_key",
    "child_workflow_id",
    "target_workflow_id",
    "reason",
    "timeout",
)
"""Fields of events that are told of, in the order in which they stand in a line."""


def event_line(event: HistoryEvent) -> str:
    """An event that is durable."""
    fields: dict[str, object] = {
        "at": event.recorded_at,
        "what": type(event).__name__,
        "workflow_id": event.workflow_id,
        "seq": event.seq,
    }
    for name in TOLD:
        value = getattr(event, name, None)
        if value is not None:
            fields[name] = value
    failure = getattr(event, "error", None)
    if isinstance(failure, Failure):
        fields["error"] = f"{failure.type}: {failure.message}"
    return _line(fields)


def attempt_line(attempt: ActivityAttempted, at: datetime) -> str:
    """An attempt of an activity that has ended."""
    info = attempt.info
    return _line(
        {
            "at": at,
            "what": "attempt",
            "workflow_id": info.workflow_id,
            "run_id": info.run_id,
            "activity_id": info.activity_id,
            "activity_type": info.activity_type,
            "attempt": info.attempt,
            "outcome": attempt.outcome,
            "seconds": round(attempt.seconds, 6),
        }
    )


def stuck_line(workflow_id: WorkflowId, reason: str, at: datetime) -> str:
    """A run that cannot go on."""
    return _line({"at": at, "what": "stuck", "workflow_id": workflow_id, "reason": reason})


def _line(fields: dict[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, default=_text)


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
