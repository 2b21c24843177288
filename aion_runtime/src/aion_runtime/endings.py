"""Endings: what callers are told of updates and runs that did not end with a value."""

from __future__ import annotations

from aion_core import events as e
from aion_core.errors import AionError, UpdateFailedError, WorkflowClosedError
from aion_core.failures import Failure
from aion_core.ids import WorkflowId
from aion_core.machine.updates import unanswered
from aion_core.status import WorkflowStatus

__all__ = ["failure_of", "why_update_failed"]


def why_update_failed(workflow_id: WorkflowId, update: str, failure: Failure) -> AionError:
    """What is raised of an update that failed: its handler did, or the run ended first."""
    if failure.type == WorkflowClosedError.__name__:
        for status in WorkflowStatus:
            closed = unanswered(workflow_id, status.value)
            if str(closed) == failure.message:
                return closed
    return UpdateFailedError(workflow_id, update, failure)


def failure_of(terminal: e.HistoryEvent) -> Failure:
    """Why a workflow did not return."""
    match terminal:
        case e.WorkflowFailed(error=error):
            return error
        case e.WorkflowCancelled(reason=reason):
            return Failure(type="Cancelled", message=reason, kind="cancelled")
        case e.WorkflowTerminated(reason=reason):
            return Failure(type="Terminated", message=reason)
        case e.WorkflowTimedOut(timeout=timeout):
            return Failure(type="TimedOut", message=f"its {timeout} time was over", kind="timeout")
        case _:
            raise AssertionError(f"{type(terminal).__name__} does not end a workflow")
