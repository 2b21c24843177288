"""The kernel: a deterministic scheduler for the tasks of one workflow run.

Words and meanings are trio's; the order is not: runnable tasks go first in, first out, so what a
run does is a function of its history. Nothing here knows of workflows, events or time.
"""

from __future__ import annotations

import contextvars
import inspect
import sys
from collections.abc import Callable, Collection, Coroutine, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from aion_core.errors import Cancelled, WorkflowUsageError
from aion_core.ids import ROOT_PATH, TaskPath
from aion_core.machine.generators import (
    AnyGenerator,
    Generators,
    complaint,
    leave_alone,
    throw_away,
)
from aion_core.machine.predicates import Predicates
from aion_core.machine.scopes import CancelScope
from aion_core.machine.tasks import (
    FOR_THE_HOST,
    MAX_AWAITS_IN_CLEANUP,
    YIELD_TURN,
    Discarded,
    OnEnd,
    Park,
    Task,
    checkpoint,
    checkpoint_if_cancelled,
    current_task,
    current_task_or_none,
    suspend,
    yield_turn,
)

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment
    from aion_core.machine.nursery import Nursery

__all__ = [
    "FOR_THE_HOST",
    "Kernel",
    "Task",
    "checkpoint",
    "checkpoint_if_cancelled",
    "current_task",
    "current_task_or_none",
    "suspend",
    "yield_turn",
]

TURNS_BETWEEN_CHECKS = 1_000


class Kernel:
    """The tasks of one run and the queue of those that can move.

    When the root task has ended, everything that it left behind is cancelled and waited for:
    handlers, tasks in nurseries that nobody closes, then async generators that nobody finished,
    the newest first.

    Args:
        on_end: called once, with the root task's result or error, when no task is left.
        on_root_done: called with the same as soon as that is certain.

    Attributes:
        root_scope: around everything in the run.
        predicates: what tasks wait for that no arrival brings.
        left_open: nurseries whose own task has ended: async generators hold them open.
        has_cancelled: some scope of the run has been cancelled.
        is_closing: the root task has ended, and what it left is cancelled and waited for.
        has_ended: no task is left.
        is_discarded: it has been closed: code that still runs is clean-up of what is thrown away.
    """

    __slots__ = (
        "_finished_generators",
        "_generators",
        "_on_end",
        "_on_root_done",
        "_outcome",
        "_ready",
        "_root",
        "_spawned",
        "_tasks",
        "_turns_to_check",
        "environment",
        "has_cancelled",
        "has_ended",
        "is_closing",
        "is_discarded",
        "left_open",
        "predicates",
        "root_scope",
    )

    def __init__(
        self, environment: Environment, on_end: OnEnd, on_root_done: OnEnd | None = None
    ) -> None:
        self.environment = environment
        self.has_cancelled = False
        self.root_scope = CancelScope.around(self)
        self.predicates = Predicates(environment)
        self.left_open: dict[Nursery, None] = {}
        self.is_closing = False
        self.has_ended = False
        self.is_discarded = False
        self._on_end = on_end
        self._on_root_done = on_root_done
        self._outcome: tuple[object, BaseException | None] = None, None
        # Not a deque, which takes 600 bytes even when it is empty.
        self._ready: list[Task] = []
        # A dict keeps the order of creation; a set would iterate by address.
        self._tasks: dict[Task, None] = {}
        self._spawned = 0
        self._root: Task | None = None
        self._generators = Generators()
        self._finished_generators = 0
        self._turns_to_check = TURNS_BETWEEN_CHECKS

    @property
    def root(self) -> Task | None:
        """The task that was there first; None before it, and once it has ended."""
        return self._root if self._root in self._tasks else None

    def is_alive(self, task: Task) -> bool:
        """Has a task of this run not ended yet?"""
        return task in self._tasks

    def user_of(self, thing: str) -> Task:
        """The task that uses a thing of this run now.

        Args:
            thing: what kind, for the error: "Event".

        Raises:
            NotInWorkflowError: no task does.
            WorkflowUsageError: it is a task of another run.
        """
        task = current_task()
        if task.kernel is not self:
            mine, other = self.environment, task.environment
            raise WorkflowUsageError(
                f"this {thing} belongs to workflow {mine.workflow_id!r} (run {mine.run_id}), but "
                f"workflow {other.workflow_id!r} (run {other.run_id}) used it; make one in each run"
            )
        return task

    def changer_of(self, thing: str) -> Task:
        """The task that changes a thing of this run now; errors as `user_of`.

        Raises:
            WorkflowUsageError: what runs now may only look.
        """
        task = self.user_of(thing)
        # What is thrown away may: else its clean-up would stop half-way.
        if not self.is_discarded:
            self.environment.check_may_change(f"a change to a {thing}")
        return task

    def spawn_root(
        self, coroutine: Coroutine[Any, Any, object], context: contextvars.Context
    ) -> Task:
        """Add the task whose end is that of the run."""
        self._root = self.spawn(coroutine, ROOT_PATH, None, context)
        return self._root

    def spawn_handler(
        self,
        coroutine: Coroutine[Any, Any, object],
        path: TaskPath,
        context: contextvars.Context,
        on_end: OnEnd,
    ) -> Task:
        """Add a task that nobody waits for before the run ends; ``on_end`` is told how it did."""
        task = self.spawn(coroutine, path, None, context)
        task.on_end = on_end
        return task

    def spawn(
        self,
        coroutine: Coroutine[Any, Any, object],
        path: TaskPath,
        nursery: Nursery | None,
        context: contextvars.Context,
    ) -> Task:
        """Add a task; it first runs when its turn comes."""
        task = Task(self, self._spawned, coroutine, path, nursery, context)
        self._spawned += 1
        if self.environment.places is not None:
            task.origin = self.environment.places.here()
        self._tasks[task] = None
        self._ready.append(task)
        return task

    def wake(self, task: Task, value: object = None, error: BaseException | None = None) -> None:
        """Let a parked task go on, with a value or an error."""
        task.abort = None
        task.value, task.error = value, error
        self._ready.append(task)

    def run_until_rest(self, check: Callable[[], None] | None = None) -> None:
        """Run tasks until none can move, and no condition holds that one waits for.

        Args:
            check: called every thousand turns; may raise to stop a run that never rests. The
                kernel is unusable after.

        Raises:
            KeyboardInterrupt, SystemExit: meant for the host; the kernel is unusable after.
        """
        self._turns_to_check = TURNS_BETWEEN_CHECKS
        hooks, predicates = sys.get_asyncgen_hooks(), self.predicates
        sys.set_asyncgen_hooks(self._generators.begun, leave_alone)
        try:
            self._run_ready(check)
            while predicates.waiters and predicates.look(partial(self._run_ready, check)):
                pass
        finally:
            sys.set_asyncgen_hooks(*hooks)

    def deliver_cancellation(self, inside: Iterable[Task]) -> None:
        """Wake those of some tasks that are parked, are cancelled and can be woken."""
        parked = [task for task in inside if task.abort is not None]
        if len(parked) > 1:
            parked.sort(key=_number)
        for task in parked:
            if task.abort is not None and task.is_cancelled and task.abort():
                self.wake(task, error=Cancelled())

    def all_tasks(self) -> Collection[Task]:
        """Those that have not ended."""
        return self._tasks

    def close(self) -> None:
        """Throw all tasks away, innermost first; their clean-up code runs, but cannot await."""
        self.is_discarded = True
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._generators.begun, leave_alone)
        try:
            self._throw_all_away()
        finally:
            sys.set_asyncgen_hooks(*hooks)
        self.predicates.forget()
        self._ready.clear()

    def _throw_all_away(self) -> None:
        context = contextvars.Context() if self._root is None else self._root.context
        while True:
            while self._tasks:
                # The newest first: among them those that clean-up has started meanwhile.
                task, _ = self._tasks.popitem()
                self._throw_away(task)
            # Now nobody iterates one any more.
            generator = self._generators.take_newest()
            if generator is None:
                return
            throw_away(generator, context)

    def _throw_away(self, task: Task) -> None:
        for _ in range(MAX_AWAITS_IN_CLEANUP):
            try:
                task.context.run(task.coroutine.throw, Discarded())
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                # Clean-up of code that is being dropped may do anything: fail, exit, find itself
                # cancelled. What it awaits, it gets the same error from once more.
                del error
            if inspect.getcoroutinestate(task.coroutine) == inspect.CORO_CLOSED:
                return

    def _run_ready(self, check: Callable[[], None] | None) -> None:
        while self._ready:
            # Who becomes ready meanwhile has a turn after all of these.
            ready, self._ready = self._ready, []
            for task in ready:
                self._advance(task)
                self._turns_to_check -= 1
                if self._turns_to_check == 0:
                    self._turns_to_check = TURNS_BETWEEN_CHECKS
                    if check is not None:
                        check()

    def _advance(self, task: Task) -> None:
        value, error = task.value, task.error
        task.value = task.error = None
        try:
            if error is not None:
                message = task.context.run(task.coroutine.throw, error)
            else:
                message = task.context.run(task.coroutine.send, value)
        except StopIteration as stop:
            self._finish(task, stop.value, None)
        except FOR_THE_HOST:
            raise
        except BaseException as raised:
            self._finish(task, None, raised)
        else:
            if isinstance(message, Park):
                task.abort = message.abort
                # Nothing may wait in a scope that was cancelled while the task was on its way here.
                if self.has_cancelled and task.is_cancelled and task.abort():
                    self.wake(task, error=Cancelled())
            elif message is YIELD_TURN:
                self._ready.append(task)
            else:
                self.wake(task, error=_foreign(message))

    def _finish(self, task: Task, value: object, error: BaseException | None) -> None:
        del self._tasks[task]
        if task.locks:
            for lock in tuple(task.locks):
                lock.abandoned()
        if task.nurseries:
            self.left_open.update(task.nurseries)
        if task.nursery is not None:
            task.nursery.child_finished(task, error)
        elif task.on_end is not None:
            task.on_end(value, error)
        else:
            self._close_down(value, error)
        if self.is_closing and not self._tasks and not self._finish_a_generator():
            self.has_ended = True
            self._on_end(*self._outcome)

    def _close_down(self, value: object, error: BaseException | None) -> None:
        self._outcome = value, error
        self.is_closing = True
        if self._on_root_done is not None:
            self._on_root_done(value, error)
        self.root_scope.cancel()

    def _finish_a_generator(self) -> bool:
        """Begin to close one that the run leaves unfinished; False if there is none.

        Only once no other task is left: one that is being iterated cannot be closed.
        """
        generator = self._generators.take_newest()
        if generator is None:
            return False
        assert self._root is not None
        path = TaskPath(f"g{self._finished_generators}")
        self._finished_generators += 1
        self.spawn_handler(
            _close(generator),
            path,
            self._root.context.copy(),
            partial(self._generator_finished, generator),
        )
        return True

    def _generator_finished(
        self, generator: AnyGenerator, value: object, error: BaseException | None
    ) -> None:
        # The outcome of the run is certain, and nobody is left whom the error could reach.
        line = None if error is None else complaint(generator, error)
        if line is not None:
            self.environment.log_lines.append(line)


def _number(task: Task) -> int:
    return task.number


async def _close(generator: AnyGenerator) -> None:
    await generator.aclose()


def _foreign(message: object) -> WorkflowUsageError:
    cls = message if isinstance(message, type) else type(message)
    name = f"{cls.__module__}.{cls.__qualname__}"
    return WorkflowUsageError(
        f"a workflow awaited something that is not durable (it yielded {name}); await activities "
        "and the primitives of aion_runtime (sleep, open_nursery, Signal.receive), and do I/O in "
        "activities"
    )
