"""Sagas: what was done is undone, in reverse, when what follows fails or is cancelled."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeVarTuple, Unpack

from aion_core.errors import ApplicationError, Cancelled, WorkflowUsageError
from aion_core.machine.ending import ContinuedAsNew
from aion_core.machine.scopes import CancelScope
from aion_core.machine.tasks import FOR_THE_HOST

__all__ = ["Saga", "saga"]

Ts = TypeVarTuple("Ts")


class Saga:
    """The ``async with`` block of `saga`, and what is to be undone if it does not come to its end.

    When the block fails or is cancelled, the compensations run one after the other, the last one
    first, shielded from cancellation. Then what ended the block goes on. When a compensation fails
    the others still run, and a group of these failures is raised, with what ended the block as its
    cause. A block that is left in any other way, by ``continue_as_new`` too, compensates nothing.
    """

    def __init__(self) -> None:
        self._compensations: list[tuple[Callable[..., Awaitable[object]], tuple[Any, ...]]] = []
        self._is_open = False

    def compensate(self, async_fn: Callable[[Unpack[Ts]], Awaitable[object]], *args: *Ts) -> None:
        """Have ``async_fn(*args)`` awaited if the block fails; keywords by ``functools.partial``.

        Raises:
            WorkflowUsageError: the block is over, or has not begun.
            TypeError: ``async_fn`` cannot be called.
        """
        if not self._is_open:
            raise WorkflowUsageError(
                "this saga is not open; name its compensations inside its 'async with' block"
            )
        if not callable(async_fn):
            raise TypeError(
                f"compensate takes an async function and its arguments, but {async_fn!r} cannot "
                "be called; write s.compensate(refund, receipt)"
            )
        self._compensations.append((async_fn, args))

    async def __aenter__(self) -> Self:
        if self._is_open:
            raise WorkflowUsageError("a saga is entered once; make a new one")
        self._is_open = True
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        if error is None or isinstance(error, (ContinuedAsNew, GeneratorExit, *FOR_THE_HOST)):
            return
        with CancelScope(shield=True):
            failures = await self._undo()
        if failures:
            raise ExceptionGroup("compensations of a saga failed", failures) from error

    async def _undo(self) -> list[Exception]:
        failures: list[Exception] = []
        while self._compensations:
            async_fn, args = self._compensations.pop()
            try:
                await _awaitable(async_fn, args)
            except Exception as error:
                failures.append(error)
            except (Cancelled, BaseExceptionGroup) as cancelled:
                # It cannot leave as it is: whoever is cancelled would take it for their own.
                failure = ApplicationError(
                    f"{_name(async_fn)} was cancelled before it was done",
                    type="CompensationCancelled",
                )
                failure.__cause__ = cancelled
                failures.append(failure)
        return failures


def saga() -> Saga:
    """Open a saga.

    Example:
        ``async with saga() as s:``, and in it, when all is paid, ``s.compensate(refund, receipt)``.
    """
    return Saga()


def _awaitable(
    async_fn: Callable[..., Awaitable[object]], args: tuple[Any, ...]
) -> Awaitable[object]:
    awaitable = async_fn(*args)
    if not inspect.isawaitable(awaitable):
        raise WorkflowUsageError(
            f"compensate takes an async function or an activity, but {async_fn!r} "
            f"returned {awaitable!r}"
        )
    return awaitable


def _name(async_fn: Callable[..., object]) -> str:
    return f"the compensation {getattr(async_fn, '__name__', repr(async_fn))}"
