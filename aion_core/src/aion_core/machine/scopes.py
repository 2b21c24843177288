"""Cancel scopes: nested, shielded, with durable deadlines. Cancellation is level-triggered.

A scope catches the `Cancelled` that passes through it when it was cancelled itself and no scope
around it, that it can see, was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Self

from aion_core.errors import Cancelled, WorkflowUsageError
from aion_core.machine.tasks import FOR_THE_HOST, Task, current_task, current_task_or_none
from aion_core.policies import seconds

if TYPE_CHECKING:
    from aion_core.ids import TimerId
    from aion_core.machine.kernel import Kernel

__all__ = ["CancelScope"]


class CancelScope:
    """A stretch of workflow code that can be cancelled as a whole. Made, and used, in one run.

    Args:
        deadline: an aware instant at which it is cancelled.
        relative_deadline: seconds or ``timedelta`` from entering; instead of ``deadline``.
        shield: ignore cancellation from outside.

    Attributes:
        cancel_called: it was cancelled, by a call or by its deadline.
        cancelled_caught: code in it was stopped by that.
        is_of_nursery: it is the scope of a nursery's block.

    Raises:
        NotInWorkflowError: no workflow runs here.
    """

    def __init__(
        self,
        *,
        deadline: datetime | None = None,
        relative_deadline: float | timedelta | None = None,
        shield: bool = False,
    ) -> None:
        if deadline is not None and relative_deadline is not None:
            raise ValueError("give a deadline or a relative_deadline, not both")
        _check_aware(deadline)
        relative = None if relative_deadline is None else seconds(relative_deadline)
        self._set_up(current_task().kernel, deadline, relative, shield)

    @classmethod
    def around(cls, kernel: Kernel) -> Self:
        """The scope around everything in a run, which nobody enters or leaves."""
        scope = cls.__new__(cls)
        scope._set_up(kernel, None, None, False)
        scope._used = True
        return scope

    def _set_up(
        self, kernel: Kernel, deadline: datetime | None, relative: float | None, shield: bool
    ) -> None:
        self._kernel = kernel
        self._deadline = deadline
        self._relative = relative
        self._shield = shield
        self._task: Task | None = None
        self._parent: CancelScope | None = None
        self._timer: TimerId | None = None
        self._used = False
        self.is_of_nursery = False
        self.cancel_called = False
        self.cancelled_caught = False

    @property
    def deadline(self) -> datetime | None:
        """When the scope is cancelled; may be set while it is open, which moves its timer."""
        return self._deadline

    @deadline.setter
    def deadline(self, instant: datetime | None) -> None:
        _check_aware(instant)
        mover = self._kernel.changer_of("CancelScope")
        self._deadline, self._relative = instant, None
        if self._task is not None:
            self._stop_timer()
            self._start_timer(mover)

    @property
    def shield(self) -> bool:
        """Whether cancellation from outside stops here."""
        return self._shield

    @shield.setter
    def shield(self, value: bool) -> None:
        self._kernel.changer_of("CancelScope")
        self._shield = value
        if not value:
            self._kernel.deliver_cancellation(self._tasks_inside())

    @property
    def is_effectively_cancelled(self) -> bool:
        """Whether checkpoints directly inside raise now."""
        # The parts of it by themselves, because every checkpoint asks.
        if self.cancel_called:
            return True
        return self._parent is not None and self._cancelled_from_outside

    @property
    def _cancelled_from_outside(self) -> bool:
        scope: CancelScope | None = self
        while scope is not None and not scope._shield:
            scope = scope._parent
            if scope is not None and scope.cancel_called:
                return True
        return False

    def outwards(self) -> Iterator[CancelScope]:
        """This scope and those around it, the innermost first."""
        scope: CancelScope | None = self
        while scope is not None:
            yield scope
            scope = scope._parent

    def cancel(self) -> None:
        """Cancel everything inside, from now on."""
        if self is not self._kernel.root_scope:
            self._kernel.changer_of("CancelScope")
        self.cancel_from_kernel()

    def cancel_from_kernel(self) -> None:
        """Cancel everything inside, on behalf of no task."""
        if not self.cancel_called:
            self.cancel_called = self._kernel.has_cancelled = True
            self._kernel.deliver_cancellation(self._tasks_inside())

    def _tasks_inside(self) -> Iterable[Task]:
        """The task that is in this scope, and all below the nurseries it has opened in it."""
        if self is self._kernel.root_scope:
            return self._kernel.all_tasks()
        if self._task is None:
            return ()
        found = [self._task]
        for nursery in self._task.nurseries or ():
            if self in nursery.cancel_scope.outwards():
                nursery.add_tasks(found)
        for nursery in self._kernel.left_open:
            # Perhaps inside; whether their tasks are cancelled is asked of each anyway.
            nursery.add_tasks(found)
        return found

    def __enter__(self) -> Self:
        if self._used:
            raise WorkflowUsageError("a CancelScope is entered once; make a new one")
        # Also it may cancel, or draw an ordinal: a question would leave that behind.
        task = self._kernel.changer_of("CancelScope")
        self._used = True
        self._task = task
        self._parent, task.scope = task.scope, self
        if self._relative is not None:
            self._deadline = task.environment.now + timedelta(seconds=self._relative)
        self._start_timer(task)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        rest = self.close(error)
        if rest is None or rest is error:
            return rest is None
        context = rest.__context__
        try:
            raise rest
        finally:
            # What is left of a group was raised before this block, not while handling the group.
            rest.__context__ = context

    def close(self, error: BaseException | None) -> BaseException | None:
        """Leave the scope; returns what is left of an error that passes through."""
        if self._kernel.is_discarded or isinstance(error, FOR_THE_HOST):
            return error  # the run is being thrown away; nothing may be issued any more
        if isinstance(error, GeneratorExit) and current_task_or_none() is None:
            return error  # a run that nobody closed is collected as garbage
        task, leaver = self._task, self._kernel.user_of("CancelScope")
        # The kernel finishes async generators of tasks that have ended, with the scopes in them.
        is_mine = task is not None and (leaver is task or not self._kernel.is_alive(task))
        if task is None or not is_mine or task.scope is not self:
            raise WorkflowUsageError(
                "cancel scopes must be left in the reverse order of entering; use 'with'"
            )
        self._stop_timer()
        catches = self.cancel_called and not self._cancelled_from_outside
        assert self._parent is not None
        task.scope, self._task = self._parent, None
        if error is None or not catches:
            return error
        if isinstance(error, Cancelled):
            self.cancelled_caught = True
            return None
        if isinstance(error, BaseExceptionGroup):
            cancelled, rest = error.split(Cancelled)
            self.cancelled_caught = self.cancelled_caught or cancelled is not None
            return rest
        return error

    def _start_timer(self, task: Task) -> None:
        """Deadlines are durable timers, unless they have passed already."""
        if self._deadline is None or self.cancel_called:
            return
        if self._deadline <= task.environment.now:
            task.next_ordinal("timer")
            self.cancel_from_kernel()
        else:
            self._timer = task.environment.timers.start(task, self._deadline, self._deadline_passed)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._task is not None:
            self._task.environment.timers.cancel(self._task, self._timer)
            self._timer = None

    def _deadline_passed(self) -> None:
        self._timer = None
        self.cancel_from_kernel()


def _check_aware(instant: datetime | None) -> None:
    if instant is not None and not isinstance(instant, datetime):
        raise TypeError(
            f"a deadline is an aware datetime, not {instant!r}; seconds are a relative_deadline"
        )
    if instant is not None and instant.tzinfo is None:
        raise ValueError("a deadline is an aware datetime; give it a time zone, like UTC")
