"""The kernel: a deterministic scheduler for the tasks of one workflow run.

Words and meanings are trio's; the order is not: runnable tasks go first in, first out, so what a
run does is a function of its history. Nothing here knows of workflows, events or time.
"""

from __future__ import annotations

import contextvars
import inspect
import sys
import types
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aion_core.errors import Cancelled, NotInWorkflowError, WorkflowUsageError
from aion_core.ids import TaskPath

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment
    from aion_core.machine.nursery import Nursery
    from aion_core.machine.places import Place
    from aion_core.machine.scopes import CancelScope

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

Abort = Callable[[], bool]
"""Called when a parked task is cancelled: True wakes it with `Cancelled`, False lets it wait on."""

_CURRENT: contextvars.ContextVar[Task] = contextvars.ContextVar("aion_workflow_task")

FOR_THE_HOST = (KeyboardInterrupt, SystemExit)
"""Not for workflow code to handle: it leaves the kernel at once, and nothing is decided by it."""

MAX_AWAITS_IN_CLEANUP = 100
"""How often clean-up code of a task that is thrown away may try to await before it is given up."""


class Task:
    """One coroutine of a run.

    Attributes:
        path: where it stands in the tree of tasks.
        scope: the innermost cancel scope it is in.
        environment: what it reaches of the world.
        origin: where the author's code started it; None when nobody asked for places.
    """

    __slots__ = (
        "_counters",
        "abort",
        "context",
        "coroutine",
        "environment",
        "error",
        "kernel",
        "nursery",
        "origin",
        "path",
        "scope",
        "value",
    )

    def __init__(
        self,
        kernel: Kernel,
        coroutine: Coroutine[Any, Any, object],
        path: TaskPath,
        nursery: Nursery | None,
        context: contextvars.Context,
    ) -> None:
        self.kernel = kernel
        self.environment: Environment = kernel.environment
        self.coroutine = coroutine
        self.path = path
        self.nursery = nursery
        self.scope: CancelScope | None = nursery.cancel_scope if nursery is not None else None
        self.context = context
        self.abort: Abort | None = None
        self.value: object = None
        self.error: BaseException | None = None
        self.origin: Place | None = None
        self._counters: Counter[str] = Counter()
        context.run(_CURRENT.set, self)

    def next_ordinal(self, kind: str) -> int:
        """Count one more call of a kind in this task."""
        ordinal = self._counters[kind]
        self._counters[kind] = ordinal + 1
        return ordinal

    @property
    def is_cancelled(self) -> bool:
        """Would a checkpoint raise `Cancelled` now?"""
        return self.scope is not None and self.scope.is_effectively_cancelled


class Kernel:
    """The tasks of one run and the queue of those that can move.

    Args:
        on_root_end: called once, with the root task's result or error.
    """

    def __init__(
        self,
        environment: Environment,
        on_root_end: Callable[[object, BaseException | None], None],
    ) -> None:
        self.environment = environment
        self._on_root_end = on_root_end
        self._ready: deque[Task] = deque()
        # A dict keeps the order of creation; a set would iterate by address.
        self._tasks: dict[Task, None] = {}
        self._root_has_ended = False

    @property
    def root(self) -> Task | None:
        """The task that was there first; None before it, and once it has ended."""
        return next((task for task in self._tasks if task.nursery is None), None)

    def spawn(
        self,
        coroutine: Coroutine[Any, Any, object],
        path: TaskPath,
        nursery: Nursery | None,
        context: contextvars.Context,
    ) -> Task:
        """Add a task; it first runs when its turn comes."""
        task = Task(self, coroutine, path, nursery, context)
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

    def run_until_rest(self) -> None:
        """Run tasks until none can move, or the root task has ended.

        Raises:
            KeyboardInterrupt, SystemExit: meant for the host; the kernel is unusable after.
        """
        with _no_asyncgen_hooks():
            # A task can outlive the root, in a nursery that an abandoned generator holds open;
            # what it would ask for comes too late for a run that has its result.
            while self._ready and not self._root_has_ended:
                self._advance(self._ready.popleft())

    def deliver_cancellation(self) -> None:
        """Wake those parked tasks that are cancelled and can be woken."""
        for task in tuple(self._tasks):
            if task.abort is not None and task.is_cancelled and task.abort():
                self.wake(task, error=Cancelled())

    def close(self) -> None:
        """Throw all tasks away, innermost first; their clean-up code runs, but cannot await."""
        with _no_asyncgen_hooks():
            while self._tasks:
                # The newest first: among them those that clean-up has started meanwhile.
                task, _ = self._tasks.popitem()
                self._throw_away(task)
        self._ready.clear()

    def _throw_away(self, task: Task) -> None:
        for _ in range(MAX_AWAITS_IN_CLEANUP):
            try:
                task.context.run(task.coroutine.close)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                # Clean-up of code that is being dropped may do anything: fail, exit, find itself
                # cancelled, or await, which leaves the coroutine to be closed once more.
                del error
            if inspect.getcoroutinestate(task.coroutine) == inspect.CORO_CLOSED:
                return

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
            self._park(task, message)

    def _park(self, task: Task, message: object) -> None:
        if message is _YIELD_TURN:
            self._ready.append(task)
        elif isinstance(message, _Park):
            task.abort = message.abort
            # Nothing may wait in a scope that was cancelled while the task was on its way here.
            if task.is_cancelled and task.abort():
                self.wake(task, error=Cancelled())
        else:
            self.wake(task, error=_foreign(message))

    def _finish(self, task: Task, value: object, error: BaseException | None) -> None:
        del self._tasks[task]
        if task.nursery is not None:
            task.nursery.child_finished(task, error)
        else:
            self._root_has_ended = True
            self._on_root_end(value, error)


@contextmanager
def _no_asyncgen_hooks() -> Iterator[None]:
    """The host's hooks would finalise the author's generators there, when garbage is collected."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        yield
    finally:
        sys.set_asyncgen_hooks(*hooks)


class _Park:
    __slots__ = ("abort",)

    def __init__(self, abort: Abort) -> None:
        self.abort = abort


_YIELD_TURN = object()


@types.coroutine
def suspend(abort: Abort) -> Generator[object, Any, Any]:
    """Wait until `Kernel.wake`; returns the value given there."""
    return (yield _Park(abort))


@types.coroutine
def yield_turn() -> Generator[object, Any, None]:
    """Let every other runnable task go first; not cancelled here."""
    yield _YIELD_TURN


async def checkpoint_if_cancelled() -> None:
    """Raise `Cancelled` if the current scope is cancelled; otherwise go on at once."""
    if current_task().is_cancelled:
        raise Cancelled


async def checkpoint() -> None:
    """Let other tasks run, and raise `Cancelled` if the current scope is cancelled."""
    current_task()  # outside of workflows an error, before anything foreign is yielded
    await yield_turn()
    await checkpoint_if_cancelled()


def current_task_or_none() -> Task | None:
    """The workflow task that runs now; None outside workflows."""
    return _CURRENT.get(None)


def current_task() -> Task:
    """The workflow task that runs now.

    Raises:
        NotInWorkflowError: none does.
    """
    task = _CURRENT.get(None)
    if task is None:
        raise NotInWorkflowError(
            "this works only inside a running workflow; start one with engine.start(...)"
        )
    return task


def _foreign(message: object) -> WorkflowUsageError:
    cls = message if isinstance(message, type) else type(message)
    name = f"{cls.__module__}.{cls.__qualname__}"
    return WorkflowUsageError(
        f"a workflow awaited something that is not durable (it yielded {name}); await activities "
        "and the primitives of aion_runtime (sleep, open_nursery, Signal.receive), and do I/O in "
        "activities"
    )
