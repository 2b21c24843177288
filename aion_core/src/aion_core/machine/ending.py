"""The end of a run: what its root task left with, as the command that ends it."""

from __future__ import annotations

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import Cancelled
from aion_core.failures import failure_from
from aion_core.ids import PackageVersion, RunId
from aion_core.machine.randomness import successor_of
from aion_core.payloads import Payload
from aion_core.status import WorkflowStatus
from aion_core.values import Attributes

__all__ = [
    "ContinuedAsNew",
    "end_by_error",
    "is_only_cancelled",
    "start_of_successor",
    "status_by",
]


class ContinuedAsNew(BaseException):
    """Leaves the root task to end the run in favour of another. Not for authors to catch.

    Args:
        input: of the next run.
        workflow_type: of the next run; None for the same.
    """

    def __init__(self, input: Payload, workflow_type: str | None) -> None:
        super().__init__("the workflow continues as new; let this exception pass")
        self.input = input
        self.workflow_type = workflow_type


def end_by_error(
    error: BaseException, *, cancel_reason: str | None, random_seed: int, run_id: RunId
) -> c.AnchoredCommand:
    """The command by which a run ends whose root task raised.

    Args:
        cancel_reason: why it was asked to stop; None when it was not.
    """
    if isinstance(error, ContinuedAsNew):
        successor, _ = successor_of(random_seed, run_id, "continued")
        return c.ContinueAsNew(error.input, successor, error.workflow_type)
    if cancel_reason is not None and is_only_cancelled(error):
        return c.CancelWorkflow(cancel_reason)
    return c.FailWorkflow(failure_from(error))


def start_of_successor(
    ended: e.WorkflowContinuedAsNew,
    former: e.WorkflowStarted,
    attributes: Attributes,
    package_version: PackageVersion,
) -> e.WorkflowStarted:
    """The first event of the run that follows one, directly behind its end.

    Args:
        former: the first event of the run that ends.
        attributes: what that is searched by.
        package_version: of the code that is to run.
    """
    _, seed = successor_of(former.random_seed, former.run_id, "continued")
    return e.WorkflowStarted(
        seq=ended.seq + 1,
        recorded_at=ended.recorded_at,
        workflow_id=ended.workflow_id,
        workflow_type=ended.workflow_type or former.workflow_type,
        input=ended.input,
        run_id=ended.successor_run_id,
        continued_from=former.run_id,
        package_version=package_version,
        random_seed=seed,
        parent=former.parent,
        attributes=attributes or None,
        memo=former.memo,
    )


def status_by(command: c.AnchoredCommand) -> str:
    """The status of a run that ends by a command, as a word."""
    match command:
        case c.CompleteWorkflow():
            return WorkflowStatus.COMPLETED.value
        case c.CancelWorkflow():
            return WorkflowStatus.CANCELLED.value
        case c.ContinueAsNew():
            return WorkflowStatus.CONTINUED_AS_NEW.value
        case _:
            return WorkflowStatus.FAILED.value


def is_only_cancelled(error: BaseException) -> bool:
    """Is cancellation all that an error says?"""
    if isinstance(error, BaseExceptionGroup):
        return error.split(Cancelled)[1] is None
    return isinstance(error, Cancelled)
