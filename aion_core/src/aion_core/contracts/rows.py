"""Rows: what a store answers, as plain values."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from aion_core.events import HistoryEvent
from aion_core.history import ActivityRow, TimerRow, WorkflowSummary
from aion_core.ids import PackageVersion, RunId, WorkflowId
from aion_core.payloads import Payload
from aion_core.status import WorkflowStatus
from aion_core.values import AttributeValue

__all__ = [
    "BegunRun",
    "DueReason",
    "DueRun",
    "DueTimer",
    "FeedItem",
    "OpenActivity",
    "Package",
    "PackageRoute",
    "RunFilter",
    "RunPage",
    "StoreStats",
    "WaitingStart",
]


@attrs.frozen
class DueTimer:
    """An open timer, with its run."""

    workflow_id: WorkflowId
    run_id: RunId
    timer: TimerRow


@attrs.frozen
class WaitingStart:
    """A run whose code has not begun, because its start waits.

    Attributes:
        timer: when it fires the code begins.
    """

    workflow_id: WorkflowId
    run_id: RunId
    workflow_type: str
    timer: TimerRow


@attrs.frozen
class BegunRun:
    """An open run whose code has begun."""

    workflow_id: WorkflowId
    workflow_type: str


@attrs.frozen
class OpenActivity:
    """An open activity, with its run.

    Attributes:
        heartbeat: details of the last heartbeat of any of its attempts; None when there is none.
    """

    workflow_id: WorkflowId
    run_id: RunId
    activity: ActivityRow
    heartbeat: Payload | None = None


@attrs.frozen
class RunPage:
    """A page of a list.

    Attributes:
        cursor: hand it back for the next page; None after the last.
    """

    runs: Sequence[WorkflowSummary]
    cursor: str | None


@attrs.frozen(kw_only=True)
class RunFilter:
    """Which workflows a list holds. What is given must all be so; bounds are inclusive.

    Attributes:
        stuck: only runs that are stuck, or only those that are not.
        attributes: the summary has these values under these names.
        text: occurs in the workflow id, the type or the failure reason; case counts.
    """

    workflow_type: str | None = None
    status: WorkflowStatus | None = None
    stuck: bool | None = None
    started_from: datetime | None = None
    started_to: datetime | None = None
    closed_from: datetime | None = None
    closed_to: datetime | None = None
    attributes: Mapping[str, AttributeValue] = attrs.Factory(dict)
    text: str | None = None

    def matches(self, run: WorkflowSummary) -> bool:
        """Is the run in the list?"""
        return (
            self.workflow_type in (None, run.workflow_type)
            and self.status in (None, run.status)
            and self.stuck in (None, run.stuck is not None)
            and _within(run.started_at, self.started_from, self.started_to)
            and _within(run.closed_at, self.closed_from, self.closed_to)
            and all(
                _same_value(run.attributes.get(name), value)
                for name, value in self.attributes.items()
            )
            and (self.text is None or any(self.text in text for text in _texts(run)))
        )


EVERYTHING = RunFilter()
"""The filter that leaves nothing out."""


def _within(at: datetime | None, first: datetime | None, last: datetime | None) -> bool:
    if first is None and last is None:
        return True
    return at is not None and (first is None or first <= at) and (last is None or at <= last)


def _same_value(one: AttributeValue | None, other: AttributeValue) -> bool:
    # To Python True and 1 are equal, and 1 and 1.0; here only the latter two are.
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _texts(run: WorkflowSummary) -> tuple[str, ...]:
    return run.workflow_id, run.workflow_type, run.failure_reason or ""


@attrs.frozen
class FeedItem:
    """A committed event.

    Attributes:
        position: its place among the events of all workflows, ascending; never given twice.
    """

    position: int
    event: HistoryEvent


class DueReason(enum.Enum):
    """Why an engine has to look at a run when it starts."""

    MESSAGE = "message"
    TIMER = "timer"
    ACTIVITY = "activity"
    STUCK = "stuck"


@attrs.frozen
class DueRun:
    """A workflow with work due, and all the reasons, in the order of `DueReason`."""

    workflow_id: WorkflowId
    reasons: tuple[DueReason, ...]


@attrs.frozen(kw_only=True)
class Package:
    """The code of a workflow type, as it was deployed."""

    workflow_type: str
    version: PackageVersion
    archive: bytes
    deployed_at: datetime


@attrs.frozen
class PackageRoute:
    """Which version new runs of a workflow type go by."""

    workflow_type: str
    version: PackageVersion


@attrs.frozen(kw_only=True)
class StoreStats:
    """How much a store holds.

    Attributes:
        open_workflows: whose newest run is not closed.
        bytes: on disk; None where that means nothing.
    """

    workflows: int
    open_workflows: int
    events: int
    timers: int
    activities: int
    messages: int
    answers: int
    bytes: int | None = None
