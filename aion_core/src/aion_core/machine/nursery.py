"""Nurseries: a task ends only after the tasks it started, and their errors reach it."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TypeVarTuple, Unpack

from aion_core.errors import WorkflowUsageError
from aion_core.ids import child_path
from aion_core.machine.scopes import CancelScope
from aion_core.machine.tasks import (
    FOR_THE_HOST,
    Task,
    check_callable,
    current_task,
    current_task_or_none,
    suspend,
    yield_turn,
)

__all__ = ["Nursery", "NurseryManager", "open_nursery"]

Ts = TypeVarTuple("Ts")


class Nursery:
    """Where tasks are started. Got from `open_nursery`.

    Attributes:
        cancel_scope: cancels all tasks in it, and the block.
    """

    __slots__ = ("_children", "_closed", "_errors", "_parent", "_waiter", "cancel_scope")

    def __init__(self, parent: Task, cancel_scope: CancelScope) -> None:
        self.cancel_scope = cancel_scope
        self._parent = parent
        self._children: dict[Task, None] = {}
        self._errors: list[BaseException] = []
        # Its parent, or who closes an async generator in which it is open.
        self._waiter: Task | None = None
        self._closed = False
        if parent.nurseries is None:
            parent.nurseries = {}
        parent.nurseries[self] = None

    def start_soon(self, async_fn: Callable[[Unpack[Ts]], Awaitable[object]], *args: *Ts) -> None:
        """Run ``async_fn(*args)`` as a task; keywords by ``functools.partial``.

        The task's place, and so the ids of its activities, follows from the calls of
        ``start_soon`` in the calling task.

        Raises:
            WorkflowUsageError: the nursery is closed, belongs to another run, or ``async_fn``
                is not async.
        """
        caller = self._parent.kernel.changer_of("nursery")
        if self._closed:
            raise WorkflowUsageError("this nursery is closed; start tasks inside its block")
        check_callable("start_soon", async_fn, "start_soon(charge, order)")
        awaitable = async_fn(*args)
        if not inspect.isawaitable(awaitable):
            raise WorkflowUsageError(
                f"start_soon takes an async function or an activity, but {async_fn!r} "
                f"returned {awaitable!r}"
            )
        coroutine = awaitable if inspect.iscoroutine(awaitable) else _await(awaitable)
        path = child_path(caller.path, caller.next_ordinal("task"))
        child = caller.kernel.spawn(coroutine, path, self, contextvars.copy_context())
        self._children[child] = None

    def child_finished(self, child: Task, error: BaseException | None) -> None:
        """Called by the kernel when a task of this nursery has ended."""
        del self._children[child]
        if error is not None:
            self._fail(error)
        if not self._children and self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            # From now on: a task started before the waiter runs would be left behind by it.
            self._closed = True
            waiter.kernel.wake(waiter)

    @property
    def is_discarded(self) -> bool:
        """Is its run being thrown away?"""
        return self._parent.kernel.is_discarded

    def add_tasks(self, found: list[Task]) -> None:
        """Add the tasks in it, and those in their nurseries, to a list."""
        nurseries = [self]
        while nurseries:
            for child in nurseries.pop()._children:
                found.append(child)
                nurseries += child.nurseries or ()

    async def wait_closed(self, error: BaseException | None) -> BaseException | None:
        """Wait for all children; returns the group of what they, and the block, raised."""
        if error is not None:
            self._fail(error)
        if self._children:
            self._waiter = self._parent.kernel.user_of("nursery")
            # The children are cancelled by the scope; their parent still waits for them.
            await suspend(lambda: False)
        else:
            self._closed = True
            await yield_turn()
        assert self._parent.nurseries is not None
        del self._parent.nurseries[self]
        self._parent.kernel.left_open.pop(self, None)
        if self._errors:
            errors, self._errors = self._errors, []
            return BaseExceptionGroup("exceptions from a workflow's nursery", errors)
        return None

    def _fail(self, error: BaseException) -> None:
        self._errors.append(error)
        self.cancel_scope.cancel_from_kernel()


class NurseryManager:
    """The ``async with`` of a nursery."""

    _nursery: Nursery
    _scope: CancelScope

    async def __aenter__(self) -> Nursery:
        self._scope = CancelScope()
        self._scope.is_of_nursery = True
        self._scope.__enter__()
        self._nursery = Nursery(current_task(), self._scope)
        return self._nursery

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if self._nursery.is_discarded or isinstance(error, FOR_THE_HOST):
            return False  # the run is being thrown away, with all of its tasks
        if isinstance(error, GeneratorExit) and current_task_or_none() is None:
            return False  # a run that nobody closed is collected as garbage
        group = await self._nursery.wait_closed(error)
        rest = self._scope.close(group)
        if rest is None:
            return True
        if isinstance(error, GeneratorExit) and _is_only(rest, error):
            return False  # closing an async generator is no failure, and must not look like one
        context = rest.__context__
        try:
            raise rest
        finally:
            # Else the traceback claims that the group was raised while handling its own member.
            rest.__context__ = context


def open_nursery() -> NurseryManager:
    """Make a place for tasks, to be entered by ``async with``.

    The block ends when all of its tasks have. When one fails, the others are cancelled, and the
    errors leave as an exception group.
    """
    return NurseryManager()


async def _await(awaitable: Awaitable[object]) -> object:
    return await awaitable


def _is_only(group: BaseException, error: BaseException) -> bool:
    return isinstance(group, BaseExceptionGroup) and group.exceptions == (error,)
