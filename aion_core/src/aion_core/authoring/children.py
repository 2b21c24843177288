"""Child workflows: handles on what a workflow has started."""

from __future__ import annotations

from typing import Generic, TypeVar

from aion_core.authoring.signals import Signal
from aion_core.authoring.signature import CallSignature
from aion_core.ids import WorkflowId
from aion_core.machine.children import Child
from aion_core.machine.kernel import Kernel

__all__ = ["ChildHandle"]

R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")


class ChildHandle(Generic[R_co]):
    """A child, as the workflow that started it sees it. Got from ``other.spawn(arg)``.

    Attributes:
        workflow_id: of the child.
    """

    def __init__(self, kernel: Kernel, child: Child, signature: CallSignature) -> None:
        self._kernel = kernel
        self._child = child
        self._signature = signature
        self.workflow_id: WorkflowId = child.workflow_id

    async def result(self) -> R_co:
        """Wait for its end and return what it returned. To be cancelled here leaves it alone.

        Raises:
            ChildWorkflowError: it failed, was cancelled or ended from outside, or could not be
                started.
        """
        task = self._kernel.user_of("child")
        payload = await task.environment.children.wait(task, self._child)
        result: R_co = self._signature.decode_result(payload, task.environment.converter)
        return result

    async def signal(self, signal: Signal[T], value: T) -> None:
        """Send it a value, which is on its way when this returns.

        Raises:
            PayloadError: the value does not fit the signal's type.
        """
        self._kernel.user_of("child")
        await signal.send(self.workflow_id, value)

    def cancel(self) -> None:
        """Ask it to stop, once; `result` says what it did. One that has ended is left alone."""
        task = self._kernel.user_of("child")
        task.environment.children.cancel(task, self._child)

    def __repr__(self) -> str:
        return f"<handle of child {self.workflow_id!r}>"
