"""Waiting for a condition: looked at whenever the run comes to rest."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from aion_core.errors import WorkflowUsageError
from aion_core.machine.tasks import (
    FOR_THE_HOST,
    Task,
    check_callable,
    checkpoint_if_cancelled,
    current_task,
    suspend,
)

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment

__all__ = ["Predicates", "wait_until"]


class Waiter:
    """A task, and the condition that it waits for."""

    __slots__ = ("predicate", "task")

    def __init__(self, task: Task, predicate: Callable[[], object]) -> None:
        self.task = task
        self.predicate = predicate


class Predicates:
    """The conditions that tasks of a run wait for.

    Attributes:
        waiters: who waits for one, the oldest first.
    """

    __slots__ = ("_environment", "waiters")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.waiters: dict[Waiter, None] = {}

    def waiting(self) -> frozenset[Task]:
        """The tasks that wait for a condition."""
        return frozenset(waiter.task for waiter in self.waiters)

    async def wait(self, task: Task, predicate: Callable[[], object]) -> None:
        """Park a task until its condition holds."""
        await checkpoint_if_cancelled()
        waiter = Waiter(task, predicate)
        self.waiters[waiter] = None

        def abort() -> bool:
            del self.waiters[waiter]
            return True

        await suspend(abort)

    def look(self, run: Callable[[], None]) -> bool:
        """Wake, in turn, each task whose condition holds; False if there is none.

        Args:
            run: lets the run come to rest again. It is called after every wake, so that a task
                finds its condition as it was when it was looked at.
        """
        woken = False
        for waiter in tuple(self.waiters):
            if waiter not in self.waiters:
                continue
            error: BaseException | None = None
            try:
                if not self._holds(waiter):
                    continue
            except FOR_THE_HOST:
                raise
            except BaseException as raised:
                error = raised
            del self.waiters[waiter]
            waiter.task.kernel.wake(waiter.task, error=error)
            run()
            woken = True
        return woken

    def forget(self) -> None:
        """Nobody waits any more."""
        self.waiters.clear()

    def _holds(self, waiter: Waiter) -> bool:
        with self._environment.refusing("a predicate of wait_until"):
            answer = waiter.task.context.run(waiter.predicate)
        if inspect.iscoroutine(answer):
            answer.close()
            raise WorkflowUsageError("a predicate of wait_until is async; make it a plain function")
        return bool(answer)


async def wait_until(predicate: Callable[[], object]) -> None:
    """Wait until ``predicate()`` is true; it still is when this returns.

    It is called whenever the run comes to rest, and may only look: what changes its answer is the
    run's own state. What it raises is raised here.

    Raises:
        TypeError: it cannot be called.
    """
    task = current_task()
    check_callable("wait_until", predicate, "wait_until(lambda: count > 3)")
    await task.kernel.predicates.wait(task, predicate)
