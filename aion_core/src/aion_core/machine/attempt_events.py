"""Events about an attempt of an open activity, made to stand next in the history of its run.

Who makes them has judged that they are due.
"""

from __future__ import annotations

from datetime import datetime

from aion_core import events as e
from aion_core.failures import Failure
from aion_core.history import ActivityRow, RunProjection
from aion_core.making import maker
from aion_core.payloads import Payload

__all__ = ["attempt_cancelled", "attempt_completed", "attempt_failed", "attempt_started"]

_activity_completed = maker(e.ActivityCompleted)


def attempt_started(
    projection: RunProjection, row: ActivityRow, recorded_at: datetime, attempt: int, delivery: int
) -> e.ActivityStarted:
    """It is handed out."""
    return e.ActivityStarted(
        seq=projection.head + 1,
        recorded_at=recorded_at,
        workflow_id=projection.workflow_id,
        activity_id=row.activity_id,
        attempt=attempt,
        delivery=delivery,
    )


def attempt_completed(
    projection: RunProjection,
    row: ActivityRow,
    recorded_at: datetime,
    result: Payload,
    supplied_by: str | None = None,
) -> e.ActivityCompleted:
    """It returned, or somebody has said what it would have."""
    return _activity_completed(
        seq=projection.head + 1,
        recorded_at=recorded_at,
        workflow_id=projection.workflow_id,
        activity_id=row.activity_id,
        result=result,
        attempt=row.attempt,
        supplied_by=supplied_by,
    )


def attempt_failed(
    projection: RunProjection,
    row: ActivityRow,
    recorded_at: datetime,
    error: Failure,
    *,
    next_attempt_at: datetime | None = None,
    held: bool = False,
    heartbeat: Payload | None = None,
) -> e.ActivityFailed:
    """It raised, or was too slow, or has killed too many processes."""
    return e.ActivityFailed(
        seq=projection.head + 1,
        recorded_at=recorded_at,
        workflow_id=projection.workflow_id,
        activity_id=row.activity_id,
        error=error,
        attempt=row.attempt,
        next_attempt_at=next_attempt_at,
        held=held,
        heartbeat=heartbeat,
    )


def attempt_cancelled(
    projection: RunProjection,
    row: ActivityRow,
    recorded_at: datetime,
    attempt: int | None,
    detail: str | None,
) -> e.ActivityCancelled:
    """It has stopped, or none was under way (``attempt`` None), or nobody knows."""
    return e.ActivityCancelled(
        seq=projection.head + 1,
        recorded_at=recorded_at,
        workflow_id=projection.workflow_id,
        activity_id=row.activity_id,
        attempt=attempt,
        detail=detail,
    )
