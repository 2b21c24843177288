"""The kernel: a deterministic scheduler for the tasks of one workflow run.

Words and meanings are trio's; the order is not: runnable tasks go first in, first out, so what a
run does is a function of its history. Nothing here knows of workflows, events or time.
"""

from __future__ import annotations

import contextvars
import sys
import types
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

from aion_core.errors import Cancelled, NotInWorkflowError, WorkflowUsageError
from aion_core.ids import TaskPath

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment
    from aion_core.machine.nursery import Nursery
    from aion_core.machine.scopes import CancelScope

__all__ = [
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


class Task:
    """One coroutine of a run.

    Attributes:
        path: where it stands in the tree of tasks.
        scope: the innermost cancel scope it is in.
        environment: what it reaches of the world.
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

    def spawn(
        self,
        coroutine: Coroutine[Any, Any, object],
        path: TaskPath,
        nursery: Nursery | None,
        context: contextvars.Context,
    ) -> Task:
        """Add a task; it first runs when its turn comes."""
        task = Task(self, coroutine, path, nursery, context)
        self._tasks[task] = None
        self._ready.append(task)
        return task

    def wake(self, task: Task, value: object = None, error: BaseException | None = None) -> None:
        """Let a parked task go on, with a value or an error."""
        task.abort = None
        task.value, task.error = value, error
        self._ready.append(task)

    def run_until_rest(self) -> None:
        """Run tasks until none can move.

        Raises:
            KeyboardInterrupt, SystemExit: meant for the host; the kernel is unusable after.
        """
        hooks = sys.get_asyncgen_hooks()
        # The host's hooks would finalise the author's generators in the host, at a time that the
        # garbage collector chooses.
        sys.set_asyncgen_hooks(None, None)
        try:
            while self._ready:
                self._advance(self._ready.popleft())
        finally:
            sys.set_asyncgen_hooks(*hooks)

    def deliver_cancellation(self) -> None:
        """Wake those parked tasks that are cancelled and can be woken."""
        for task in tuple(self._tasks):
            if task.abort is not None and task.is_cancelled and task.abort():
                self.wake(task, error=Cancelled())

    def close(self) -> None:
        """Throw all tasks away, innermost first; their clean-up code runs, but cannot await."""
        for task in reversed(tuple(self._tasks)):
            try:
                task.context.run(task.coroutine.close)
            except Exception as error:  # clean-up of code that is being dropped may do anything
                del error
        self._tasks.clear()
        self._ready.clear()

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
        except (KeyboardInterrupt, SystemExit):
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
            self._on_root_end(value, error)


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
    name = f"{type(message).__module__}.{type(message).__qualname__}"
    return WorkflowUsageError(
        f"a workflow awaited something that is not durable (it yielded {name}); await activities "
        "and the primitives of aion_runtime (sleep, open_nursery, Signal.receive), and do I/O in "
        "activities"
    )
