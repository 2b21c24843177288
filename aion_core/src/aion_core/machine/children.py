"""Children of a run: other workflows that it started, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import Cancelled, ChildWorkflowError, HistoryShapeError
from aion_core.failures import Failure
from aion_core.ids import ChildKey, WorkflowId, child_workflow_id, position
from aion_core.machine.kernel import Task, checkpoint_if_cancelled, suspend, yield_turn
from aion_core.payloads import Payload

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment

__all__ = ["Child", "Children"]

Outcome = e.ChildWorkflowCompleted | e.ChildWorkflowFailed | e.ChildWorkflowCancelled


class Child:
    """A child, as its parent's code knows it.

    Attributes:
        key: its structural position in the parent.
        workflow_id: of the child.
        workflow_type: of the child.
        outcome: how it ended; None while it goes on.
        cancel_requested: it has been asked to stop.
    """

    __slots__ = ("cancel_requested", "key", "outcome", "waiting", "workflow_id", "workflow_type")

    def __init__(self, key: ChildKey, workflow_id: WorkflowId, workflow_type: str) -> None:
        self.key = key
        self.workflow_id = workflow_id
        self.workflow_type = workflow_type
        self.outcome: Outcome | None = None
        self.cancel_requested = False
        self.waiting: dict[Task, int] = {}

    def result(self, task: Task) -> Payload:
        """What it returned, for a task that has waited for it.

        Raises:
            ChildWorkflowError: it failed, was cancelled or ended from outside, or could not be
                started.
            Cancelled: it was cancelled, and so is the task.
        """
        match self.outcome:
            case e.ChildWorkflowCompleted(result=result):
                return result
            case e.ChildWorkflowFailed(error=failure):
                raise ChildWorkflowError(self.workflow_id, self.workflow_type, failure)
            case _ if task.is_cancelled:
                raise Cancelled
            case outcome:
                # Not `Cancelled`: no scope of this run would catch it, and a nursery's hide it.
                detail = outcome.detail if isinstance(outcome, e.ChildWorkflowCancelled) else None
                failure = Failure(
                    type="Cancelled", message=detail or "it was cancelled", kind="cancelled"
                )
                raise ChildWorkflowError(self.workflow_id, self.workflow_type, failure)


class Children:
    """The children that a run has started."""

    __slots__ = ("_environment", "_open")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._open: dict[ChildKey, Child] = {}

    def waits(self) -> Iterable[tuple[int, c.AwaitChild]]:
        """What is awaited, and since when."""
        for child in self._open.values():
            for begun in child.waiting.values():
                yield begun, c.AwaitChild(child.key)

    async def spawn(
        self,
        task: Task,
        workflow_type: str,
        input: Payload,
        *,
        workflow_id: WorkflowId | None,
        close_policy: c.ClosePolicy,
        aliases: tuple[str, ...],
    ) -> Child:
        """Start a child; that it is going to start is certain when this returns."""
        await checkpoint_if_cancelled()
        child = self._start(task, workflow_type, input, workflow_id, close_policy, aliases)
        # Not cancelled any more: what has been started must not be lost on the caller.
        await yield_turn()
        return child

    async def run(
        self,
        task: Task,
        workflow_type: str,
        input: Payload,
        *,
        workflow_id: WorkflowId | None,
        close_policy: c.ClosePolicy,
        aliases: tuple[str, ...],
    ) -> Payload:
        """Start a child and park the task until it has ended.

        Cancelled meanwhile it asks the child to stop and waits on, as for an activity.

        Raises:
            ChildWorkflowError: it failed, or was cancelled by somebody else.
            Cancelled: it was stopped because this task was cancelled.
        """
        await checkpoint_if_cancelled()
        child = self._start(task, workflow_type, input, workflow_id, close_policy, aliases)

        def abort() -> bool:
            self.cancel(task, child)
            return False

        child.waiting[task] = self._environment.next_wait()
        await suspend(abort)
        return child.result(task)

    async def wait(self, task: Task, child: Child) -> Payload:
        """Park a task until a child has ended; when cancelled the child goes on.

        Raises:
            ChildWorkflowError: it failed, or was cancelled.
            Cancelled: this task was cancelled.
        """
        await checkpoint_if_cancelled()
        if child.outcome is not None:
            await yield_turn()
            return child.result(task)
        child.waiting[task] = self._environment.next_wait()

        def abort() -> bool:
            del child.waiting[task]
            return True

        await suspend(abort)
        return child.result(task)

    def cancel(self, task: Task, child: Child) -> None:
        """Ask a child to stop, once. One that has ended is left alone."""
        if child.outcome is None and not child.cancel_requested:
            self._environment.issue(c.CancelChild(child.key), task)
            child.cancel_requested = True

    def settle(self, event: Outcome) -> None:
        """Apply an arrival: a child has ended."""
        child = self._open.pop(event.child_key, None)
        if child is None:
            raise HistoryShapeError(f"{event.child_key} has ended, but the code never started it")
        child.outcome = event
        if child.waiting:
            self._environment.answered(c.AwaitChild(child.key))
        waiting, child.waiting = child.waiting, {}
        for task in waiting:
            task.kernel.wake(task)

    def _start(
        self,
        task: Task,
        workflow_type: str,
        input: Payload,
        workflow_id: WorkflowId | None,
        close_policy: c.ClosePolicy,
        aliases: tuple[str, ...],
    ) -> Child:
        environment = self._environment
        key = ChildKey(position("child", task.path, task.next_ordinal("child")))
        if workflow_id is None:
            workflow_id = child_workflow_id(environment.workflow_id, environment.run_id, key)
        environment.issue(
            c.SpawnChild(key, workflow_id, workflow_type, input, close_policy, aliases), task
        )
        child = self._open[key] = Child(key, workflow_id, workflow_type)
        return child
