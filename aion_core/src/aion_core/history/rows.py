"""Rows: what a store keeps of a workflow beside its events."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from aion_core.events import ParentRef, RateRow, TimerRow
from aion_core.ids import ActivityId, RunId, WorkflowId
from aion_core.status import WorkflowStatus
from aion_core.values import AttributeValue

__all__ = ["ActivityRow", "RateRow", "RunSummary", "TimerRow", "WorkflowSummary"]


@attrs.frozen(kw_only=True)
class WorkflowSummary:
    """One line about a workflow, for lists.

    Attributes:
        run_id: of its newest run, as all that follows.
        events: length of its history.
        parent: who started it as a child.
        attributes: what it is searched by.
        failed_activity: the last activity that failed for good, or is held; None once the run has
            closed for another reason.
        failure_reason: type and message of the error, when the run failed; why it was ended from
            outside, when it was.
        stuck: why the open run cannot go on; None when it can.
    """

    workflow_id: WorkflowId
    run_id: RunId
    workflow_type: str
    status: WorkflowStatus
    started_at: datetime
    closed_at: datetime | None = None
    events: int = 0
    parent: ParentRef | None = None
    attributes: Mapping[str, AttributeValue] = attrs.Factory(dict)
    failed_activity: ActivityId | None = None
    failure_reason: str | None = None
    stuck: str | None = None


@attrs.frozen(kw_only=True)
class RunSummary:
    """One run of a workflow, as a link of its chain.

    Attributes:
        continued_from: the run before it; None for the first.
    """

    run_id: RunId
    continued_from: RunId | None
    status: WorkflowStatus
    started_at: datetime
    closed_at: datetime | None = None


@attrs.frozen(kw_only=True)
class ActivityRow:
    """An activity without an outcome.

    Attributes:
        scheduled_seq: the event that started it, its name for outcomes.
        attempt: the current one, from 1.
        delivery: how often this attempt has been handed out.
        next_attempt_at: when the current attempt may begin; None for at once.
        cancel_requested: the code no longer wants it.
        held: its attempts are over, and it waits for an operator.
        deadline: when the time for all of its attempts is over; None for never.
        rate: its rate limit, if it has one.
    """

    activity_id: ActivityId
    activity_type: str
    scheduled_seq: int
    attempt: int = 1
    delivery: int = 1
    next_attempt_at: datetime | None = None
    cancel_requested: bool = False
    held: bool = False
    deadline: datetime | None = None
    rate: RateRow | None = None
