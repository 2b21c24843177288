"""Events, locks and semaphores between the tasks of one run; the longest wait is served first.

They live in the run's memory and leave nothing in its history: a replay makes them anew.
"""

from __future__ import annotations

from types import TracebackType

from aion_core.errors import BrokenResourceError, WorkflowUsageError, WouldBlock
from aion_core.machine.tasks import (
    Task,
    checkpoint_if_cancelled,
    current_task,
    suspend,
    yield_turn,
)

__all__ = ["Event", "Lock", "Semaphore"]


class Event:
    """Something that happens once; tasks can wait for it. Made, and used, in one run.

    Raises:
        NotInWorkflowError: no workflow runs here.
    """

    def __init__(self) -> None:
        self._kernel = current_task().kernel
        self._is_set = False
        self._waiting: dict[Task, None] = {}

    def is_set(self) -> bool:
        """Has it happened?"""
        self._kernel.user_of("Event")
        return self._is_set

    def set(self) -> None:
        """Let it have happened: all who wait go on. Once more is harmless."""
        self._kernel.changer_of("Event")
        self._is_set = True
        waiting, self._waiting = self._waiting, {}
        for task in waiting:
            self._kernel.wake(task)

    async def wait(self) -> None:
        """Wait until it has happened."""
        task = self._kernel.user_of("Event")
        await checkpoint_if_cancelled()
        if self._is_set:
            await yield_turn()
            await checkpoint_if_cancelled()
        else:
            await _queue(self._waiting, task)


class Lock:
    """Has one owner at a time, a task; whoever has waited longest is next.

    Use it by ``async with``. Made, and used, in one run.

    Raises:
        NotInWorkflowError: no workflow runs here.
    """

    def __init__(self) -> None:
        self._kernel = current_task().kernel
        self._owner: Task | None = None
        self._waiting: dict[Task, None] = {}
        self._is_broken = False

    def locked(self) -> bool:
        """Has it an owner?"""
        self._kernel.user_of("Lock")
        return self._owner is not None

    def acquire_nowait(self) -> None:
        """Become its owner at once.

        Raises:
            WouldBlock: another task owns it.
            WorkflowUsageError: this task owns it already.
            BrokenResourceError: its owner ended without releasing it.
        """
        self._acquire(self._kernel.changer_of("Lock"))

    async def acquire(self) -> None:
        """Become its owner; errors as `acquire_nowait`, but it waits."""
        task = self._kernel.changer_of("Lock")
        await checkpoint_if_cancelled()
        try:
            self._acquire(task)
        except WouldBlock:
            await _queue(self._waiting, task)
        else:
            await yield_turn()

    def release(self) -> None:
        """Hand it to the task that has waited longest, or to nobody.

        Raises:
            WorkflowUsageError: this task is not its owner.
        """
        task = self._kernel.changer_of("Lock")
        if self._owner is not task:
            raise WorkflowUsageError("only the task that acquired a Lock can release it")
        assert task.locks is not None
        del task.locks[self]
        self._owner = None
        if self._waiting:
            heir = _first(self._waiting)
            self._give_to(heir)
            self._kernel.wake(heir)

    def abandoned(self) -> None:
        """Called by the kernel when the owner has ended: what is guarded may be half done."""
        self._owner, self._is_broken = None, True
        waiting, self._waiting = self._waiting, {}
        for task in waiting:
            self._kernel.wake(task, error=_broken())

    def _acquire(self, task: Task) -> None:
        if self._is_broken:
            raise _broken()
        if self._owner is task:
            raise WorkflowUsageError("this task owns the Lock already; release it first")
        if self._owner is not None:
            raise WouldBlock("another task owns the Lock")
        self._give_to(task)

    def _give_to(self, task: Task) -> None:
        self._owner = task
        if task.locks is None:
            task.locks = {}
        task.locks[self] = None

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class Semaphore:
    """A number that tasks take one from; they wait while it is zero, the longest served first.

    Use it by ``async with``. Made, and used, in one run.

    Args:
        initial: the number at first.
        max_value: what it may not exceed; None for any number.

    Raises:
        NotInWorkflowError: no workflow runs here.
    """

    def __init__(self, initial: int, *, max_value: int | None = None) -> None:
        _check_whole("initial", initial)
        if max_value is not None:
            _check_whole("max_value", max_value)
            if max_value < initial:
                raise ValueError(f"max_value {max_value} is less than the initial {initial}")
        self._kernel = current_task().kernel
        self._value = initial
        self._max_value = max_value
        self._waiting: dict[Task, None] = {}

    @property
    def value(self) -> int:
        """How often it could be acquired now without waiting."""
        self._kernel.user_of("Semaphore")
        return self._value

    @property
    def max_value(self) -> int | None:
        """What the number may not exceed; None for any number."""
        return self._max_value

    def acquire_nowait(self) -> None:
        """Take one at once.

        Raises:
            WouldBlock: there is none.
        """
        self._kernel.changer_of("Semaphore")
        self._acquire()

    async def acquire(self) -> None:
        """Take one; wait for it while there is none."""
        task = self._kernel.changer_of("Semaphore")
        await checkpoint_if_cancelled()
        try:
            self._acquire()
        except WouldBlock:
            await _queue(self._waiting, task)
        else:
            await yield_turn()

    def release(self) -> None:
        """Give one back, to the task that has waited longest if there is one.

        Raises:
            ValueError: there would be more than ``max_value``.
        """
        self._kernel.changer_of("Semaphore")
        if self._waiting:
            self._kernel.wake(_first(self._waiting))
        elif self._value == self._max_value:
            raise ValueError(f"the Semaphore was released more often than {self._max_value} times")
        else:
            self._value += 1

    def _acquire(self) -> None:
        if self._value == 0:
            raise WouldBlock("the Semaphore is at zero")
        self._value -= 1

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


async def _queue(waiting: dict[Task, None], task: Task) -> None:
    """Wait among others until woken; a dict is a queue of which anybody may leave."""
    waiting[task] = None

    def abort() -> bool:
        del waiting[task]
        return True

    await suspend(abort)


def _first(waiting: dict[Task, None]) -> Task:
    task = next(iter(waiting))
    del waiting[task]
    return task


def _broken() -> BrokenResourceError:
    return BrokenResourceError(
        "the owner of the Lock ended without releasing it; use the Lock by 'async with'"
    )


def _check_whole(name: str, value: int) -> None:
    if type(value) is not int:
        raise TypeError(f"{name} is a whole number, not {value!r}")
    if value < 0:
        raise ValueError(f"{name} must be at least 0, not {value}")
