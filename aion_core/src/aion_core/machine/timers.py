"""Timers of a run: anonymous ones behind sleeps and deadlines, and those with an author's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import HistoryShapeError, WorkflowUsageError
from aion_core.ids import START_TIMER, TimerId, position
from aion_core.machine.kernel import Task, checkpoint_if_cancelled, suspend, yield_turn

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment

__all__ = ["Timers"]


class Timers:
    """The timers that are running, and who wants to know."""

    __slots__ = ("_environment", "_fired", "_fresh", "_running", "_waiting")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._running: dict[TimerId, tuple[int, Callable[[], None]]] = {}
        # Started in this activation: the index of the command, to be taken back.
        self._fresh: dict[TimerId, int] = {}
        self._waiting: dict[TimerId, dict[Task, None]] = {}
        self._fired: dict[TimerId, None] = {}

    def rest(self) -> None:
        """The activation is over: what was started in it is going to be recorded."""
        self._fresh.clear()

    def waits(self) -> Iterable[tuple[int, c.AwaitTimer]]:
        """What is awaited, and since when."""
        return ((begun, c.AwaitTimer(timer)) for timer, (begun, _) in self._running.items())

    def hold_start(self, fire_at: datetime, begin: Callable[[], None]) -> None:
        """Have the code of the run begin when the timer of its start has fired."""
        self._start(None, START_TIMER, fire_at, begin)

    def start(self, task: Task, fire_at: datetime, fired: Callable[[], None]) -> TimerId:
        """Have ``fired`` called when the instant has come."""
        timer_id = TimerId(position("timer", task.path, task.next_ordinal("timer")))
        self._start(task, timer_id, fire_at, fired)
        return timer_id

    def cancel(self, task: Task, timer_id: TimerId) -> None:
        """Forget a timer; one started in the same activation leaves no trace."""
        del self._running[timer_id]
        index = self._fresh.pop(timer_id, None)
        if index is None:
            self._environment.issue(c.CancelTimer(timer_id), task)
        else:
            self._environment.take_back(index)

    async def sleep_until(self, task: Task, instant: datetime) -> None:
        """Park a task until an instant. At or before now it is a bare checkpoint."""
        await checkpoint_if_cancelled()
        if instant <= self._environment.now:
            task.next_ordinal("timer")
            await yield_turn()
            await checkpoint_if_cancelled()
            return
        timer_id = self.start(task, instant, lambda: task.kernel.wake(task))

        def abort() -> bool:
            self.cancel(task, timer_id)
            return True

        await suspend(abort)

    def start_named(self, task: Task, timer_id: TimerId, fire_at: datetime) -> None:
        """Start a timer by its name, anew if it is running already. A past instant fires at once.

        Who waits for it goes on waiting, for the new instant.
        """
        self._environment.check_may_change("a timer")
        self._fired.pop(timer_id, None)
        if timer_id in self._running:
            self.cancel(task, timer_id)
        if fire_at <= self._environment.now:
            self._named_fired(timer_id)
        else:
            self._start(task, timer_id, fire_at, lambda: self._named_fired(timer_id))

    def cancel_named(self, task: Task, timer_id: TimerId) -> bool:
        """Stop a timer by its name: False when it is not running. Who waits for it is woken."""
        self._environment.check_may_change("cancelling a timer")
        if timer_id not in self._running:
            return False
        self.cancel(task, timer_id)
        self._wake(timer_id, fired=False)
        return True

    def is_running(self, timer_id: TimerId) -> bool:
        """Will it still fire?"""
        return timer_id in self._running

    def has_fired(self, timer_id: TimerId) -> bool:
        """Has it fired since it was started last?"""
        return timer_id in self._fired

    async def wait_named(self, task: Task, timer_id: TimerId) -> bool:
        """Park a task until a named timer has fired: True; or was cancelled: False.

        Raises:
            WorkflowUsageError: it was never started, or has been cancelled before.
        """
        await checkpoint_if_cancelled()
        if timer_id in self._fired:
            await yield_turn()
            return True
        if timer_id not in self._running:
            raise WorkflowUsageError(f"{timer_id} is not running; start it before you wait for it")
        waiting = self._waiting.setdefault(timer_id, {})
        waiting[task] = None

        def abort() -> bool:
            del waiting[task]
            return True

        fired: bool = await suspend(abort)
        return fired

    def fire(self, event: e.TimerFired) -> None:
        """Apply an arrival: a timer has come due."""
        _, fired = self._running.pop(event.timer_id, (0, None))
        if fired is None:
            raise HistoryShapeError(f"{event.timer_id} has fired, but the code waits for none such")
        self._environment.answered(c.AwaitTimer(event.timer_id))
        fired()

    def _start(
        self, task: Task | None, timer_id: TimerId, fire_at: datetime, fired: Callable[[], None]
    ) -> None:
        # In UTC like all that is recorded: it becomes `now` when the timer fires.
        index = self._environment.issue(c.StartTimer(timer_id, fire_at.astimezone(UTC)), task)
        self._fresh[timer_id] = index
        self._running[timer_id] = self._environment.next_wait(), fired

    def _named_fired(self, timer_id: TimerId) -> None:
        self._fired[timer_id] = None
        self._wake(timer_id, fired=True)

    def _wake(self, timer_id: TimerId, *, fired: bool) -> None:
        for task in self._waiting.pop(timer_id, {}):
            task.kernel.wake(task, fired)
