"""The status of a run: which events decide it."""

from __future__ import annotations

from collections.abc import Sequence

from aion_core import events as e
from aion_core.status import WorkflowStatus

__all__ = ["CLOSED_BY", "DECIDES", "current_status"]

CLOSED_BY: dict[type[e.HistoryEvent], WorkflowStatus] = {
    e.WorkflowCompleted: WorkflowStatus.COMPLETED,
    e.WorkflowFailed: WorkflowStatus.FAILED,
    e.WorkflowCancelled: WorkflowStatus.CANCELLED,
    e.WorkflowTerminated: WorkflowStatus.TERMINATED,
    e.WorkflowTimedOut: WorkflowStatus.TIMED_OUT,
    e.WorkflowContinuedAsNew: WorkflowStatus.CONTINUED_AS_NEW,
}
"""The status that each end of a run leaves."""

DECIDES: dict[type[e.HistoryEvent], WorkflowStatus] = {
    **CLOSED_BY,
    e.WorkflowStarted: WorkflowStatus.RUNNING,
    e.WorkflowReopened: WorkflowStatus.RUNNING,
    e.WorkflowResumed: WorkflowStatus.RUNNING,
    e.WorkflowPaused: WorkflowStatus.PAUSED,
}
"""The status from each event that decides it; all others leave it as it is."""


def current_status(history: Sequence[e.HistoryEvent]) -> WorkflowStatus | None:
    """Where the newest run stands: the last event that says something decides.

    A request to cancel says nothing, nor does adopted code. None for an empty history.
    """
    for event in reversed(history):
        status = DECIDES.get(type(event))
        if status is not None:
            return status
    return None
