"""Tasks of a run, and what a coroutine in one may yield: to wait, or to let others go first.

Nothing here decides who runs next: that is the kernel's.
"""

from __future__ import annotations

import contextvars
import inspect
import types
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any

from aion_core.errors import Cancelled, NotInWorkflowError
from aion_core.ids import TaskPath

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment
    from aion_core.machine.kernel import Kernel
    from aion_core.machine.nursery import Nursery
    from aion_core.machine.places import Place
    from aion_core.machine.scopes import CancelScope
    from aion_core.machine.sync import Lock

__all__ = [
    "FOR_THE_HOST",
    "MAX_AWAITS_IN_CLEANUP",
    "YIELD_TURN",
    "Abort",
    "Discarded",
    "OnEnd",
    "Park",
    "Task",
    "check_callable",
    "checkpoint",
    "checkpoint_if_cancelled",
    "current_task",
    "current_task_or_none",
    "suspend",
    "yield_turn",
]

Abort = Callable[[], bool]
"""Called when a parked task is cancelled: True wakes it with `Cancelled`, False lets it wait on."""

OnEnd = Callable[[object, BaseException | None], None]
"""Told of the end of a task: its result, or its error."""

_CURRENT: contextvars.ContextVar[Task] = contextvars.ContextVar("aion_workflow_task")

FOR_THE_HOST = (KeyboardInterrupt, SystemExit)
"""Not for workflow code to handle: it leaves the kernel at once, and nothing is decided by it."""


MAX_AWAITS_IN_CLEANUP = 100
"""How often clean-up code that is thrown away may try to await before it is given up."""


class Discarded(BaseException):
    """Raised in code of a run that is thrown away.

    Not ``GeneratorExit``, which reaches only the outermost of coroutines that await each other: the
    inner ones are closed, and one that awaits then is left where it is.
    """


class Task:
    """One coroutine of a run.

    Attributes:
        number: how many tasks of the run are older.
        path: where it stands in the tree of tasks.
        scope: the innermost cancel scope it is in.
        nurseries: those that it has open, the outermost first.
        locks: those that it owns.
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
        "locks",
        "number",
        "nurseries",
        "nursery",
        "on_end",
        "origin",
        "path",
        "scope",
        "value",
    )

    def __init__(
        self,
        kernel: Kernel,
        number: int,
        coroutine: Coroutine[Any, Any, object],
        path: TaskPath,
        nursery: Nursery | None,
        context: contextvars.Context,
    ) -> None:
        self.kernel = kernel
        self.number = number
        self.environment: Environment = kernel.environment
        self.coroutine = coroutine
        self.path = path
        self.nursery = nursery
        self.scope: CancelScope = kernel.root_scope if nursery is None else nursery.cancel_scope
        # Most tasks open none and own none.
        self.nurseries: dict[Nursery, None] | None = None
        self.locks: dict[Lock, None] | None = None
        self.context = context
        self.abort: Abort | None = None
        self.value: object = None
        self.error: BaseException | None = None
        self.origin: Place | None = None
        self.on_end: OnEnd | None = None
        self._counters: dict[str, int] = {}
        context.run(_CURRENT.set, self)

    def next_ordinal(self, kind: str) -> int:
        """Count one more call of a kind in this task."""
        ordinal = self._counters.get(kind, 0)
        self._counters[kind] = ordinal + 1
        return ordinal

    @property
    def is_cancelled(self) -> bool:
        """Would a checkpoint raise `Cancelled` now?"""
        # In most runs nothing ever is, and every await asks.
        return self.kernel.has_cancelled and self.scope.is_effectively_cancelled


class Park:
    """Yielded by a task that waits until it is woken. Awaited it gives what `Kernel.wake` gave."""

    __slots__ = ()

    def abort(self) -> bool:
        """Called when its task is cancelled, as an `Abort` is. It waits on."""
        return False

    def __await__(self) -> Generator[Park, Any, Any]:
        return (yield self)


class _Suspension(Park):
    """Of a task whose cancellation is a function's affair."""

    __slots__ = ("_abort",)

    def __init__(self, abort: Abort) -> None:
        self._abort = abort

    def abort(self) -> bool:
        return self._abort()


YIELD_TURN = object()
"""Yielded by a task that can go on as soon as every other had its turn."""


@types.coroutine
def suspend(abort: Abort) -> Generator[object, Any, Any]:
    """Wait until `Kernel.wake`; returns the value given there."""
    return (yield _Suspension(abort))


@types.coroutine
def yield_turn() -> Generator[object, Any, None]:
    """Let every other runnable task go first; not cancelled here."""
    yield YIELD_TURN


async def checkpoint_if_cancelled() -> None:
    """Raise `Cancelled` if the current scope is cancelled; otherwise go on at once."""
    if current_task().is_cancelled:
        raise Cancelled


async def checkpoint() -> None:
    """Let other tasks run, and raise `Cancelled` if the current scope is cancelled."""
    task = current_task()  # outside of workflows an error, before anything foreign is yielded
    await yield_turn()
    if task.is_cancelled:
        raise Cancelled


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
            "this works only inside a running workflow; start one with engine.start(...), or in a "
            "test with aion_runtime.testing.run_workflow(...)"
        )
    return task


def check_callable(name: str, fn: object, example: str) -> None:
    """Refuse what was called, or worked out, where a function is to be given.

    Raises:
        TypeError: it cannot be called; the message has the example.
    """
    if not callable(fn):
        if inspect.iscoroutine(fn):
            fn.close()
        raise TypeError(f"{name} takes a function, not {fn!r}; write {example}")
