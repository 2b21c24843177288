"""Several things at once in a workflow, on top of nurseries."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar, overload

from aion_core.errors import Cancelled, WorkflowUsageError
from aion_core.machine.nursery import Nursery, open_nursery
from aion_core.machine.sync import Semaphore
from aion_core.machine.tasks import check_callable, checkpoint_if_cancelled

__all__ = ["gather", "map", "race"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
T = TypeVar("T")


@overload
async def gather(first: Awaitable[A], second: Awaitable[B], /) -> tuple[A, B]: ...
@overload
async def gather(
    first: Awaitable[A], second: Awaitable[B], third: Awaitable[C], /
) -> tuple[A, B, C]: ...
@overload
async def gather(
    first: Awaitable[A], second: Awaitable[B], third: Awaitable[C], fourth: Awaitable[D], /
) -> tuple[A, B, C, D]: ...
@overload
async def gather(*awaitables: Awaitable[T]) -> tuple[T, ...]: ...
async def gather(*awaitables: Awaitable[Any]) -> tuple[Any, ...]:
    """Await several activity calls at once; their results in the order of the arguments.

    When one fails the others are cancelled, and the errors leave as an exception group.

    Raises:
        WorkflowUsageError: an argument cannot be awaited.
    """
    _check_calls("gather", awaitables)
    results: list[Any] = [None] * len(awaitables)

    async def keep(index: int, awaitable: Awaitable[Any]) -> None:
        results[index] = await awaitable

    try:
        async with open_nursery() as nursery:
            for index, awaitable in enumerate(awaitables):
                nursery.start_soon(keep, index, awaitable)
    finally:
        _close_those_not_begun(awaitables)
    _pass_on_cancellation(nursery)
    return tuple(results)


@overload
async def race(first: Awaitable[A], second: Awaitable[B], /) -> A | B: ...
@overload
async def race(first: Awaitable[A], second: Awaitable[B], third: Awaitable[C], /) -> A | B | C: ...
@overload
async def race(
    first: Awaitable[A], second: Awaitable[B], third: Awaitable[C], fourth: Awaitable[D], /
) -> A | B | C | D: ...
@overload
async def race(*awaitables: Awaitable[T]) -> T: ...
async def race(*awaitables: Awaitable[Any]) -> Any:
    """Await several activity calls at once; the first outcome wins, be it a result or an error.

    The others are cancelled and waited for. What they still return or raise is dropped, as an
    activity may well end, either way, before it hears that it is to stop. Of several outcomes that
    one arrival brings, the task that ended first wins.

    Raises:
        WorkflowUsageError: an argument cannot be awaited, or there is none.
    """
    _check_calls("race", awaitables)
    if not awaitables:
        raise WorkflowUsageError("race takes at least one call to be awaited")
    outcomes: list[tuple[Any, Exception | None]] = []

    async def run(awaitable: Awaitable[Any]) -> None:
        try:
            value = await awaitable
        except Exception as error:
            outcomes.append((None, error))
        else:
            outcomes.append((value, None))
        nursery.cancel_scope.cancel()

    try:
        async with open_nursery() as nursery:
            for awaitable in awaitables:
                nursery.start_soon(run, awaitable)
    finally:
        _close_those_not_begun(awaitables)
    if not outcomes:
        raise Cancelled
    value, error = outcomes[0]
    outcomes.clear()
    if error is None:
        return value
    try:
        raise error
    finally:
        del error  # else it and this frame, which its traceback leads to, keep each other alive


async def map(  # noqa: A001  as aion.map
    fn: Callable[[A], Awaitable[T]], items: Iterable[A], limit: int | None = None
) -> list[T]:
    """Await ``fn`` for each item, several at once; the results in the order of the items.

    Each item has a task of its own, whose place is that of the item whatever the limit is. When
    one fails the others are cancelled, and the errors leave as an exception group.

    Args:
        fn: an async function or an activity, of one argument.
        limit: how many run at a time, in the order of the items; None for all.
    """
    if limit is not None and type(limit) is not int:
        raise TypeError(f"limit is a whole number, not {limit!r}; None is for all at a time")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}; None is for all at a time")
    check_callable("map", fn, "map(fetch, pages)")
    if not isinstance(items, Iterable):
        raise TypeError(f"map takes the items in a list, as in map(fetch, pages), not {items!r}")
    todo = list(items)
    results: list[Any] = [None] * len(todo)
    slots = None if limit is None else Semaphore(limit)

    async def run(index: int) -> None:
        if slots is None:
            results[index] = await fn(todo[index])
        else:
            async with slots:
                # The slot may be that of a task which failed, and so has stopped the rest.
                await checkpoint_if_cancelled()
                results[index] = await fn(todo[index])

    async with open_nursery() as nursery:
        for index in range(len(todo)):
            nursery.start_soon(run, index)
    _pass_on_cancellation(nursery)
    return results


def _pass_on_cancellation(nursery: Nursery) -> None:
    """What was cancelled from elsewhere has no result: an activity may be, by an operator."""
    if nursery.cancel_scope.cancelled_caught:
        raise Cancelled


def _close_those_not_begun(awaitables: tuple[object, ...]) -> None:
    """In clean-up of a run that is thrown away nobody awaits them any more."""
    for awaitable in awaitables:
        if not inspect.iscoroutine(awaitable):
            continue
        if inspect.getcoroutinestate(awaitable) == inspect.CORO_CREATED:
            # Else the interpreter would complain.
            awaitable.close()


def _check_calls(name: str, awaitables: tuple[object, ...]) -> None:
    for position, awaitable in enumerate(awaitables):
        if inspect.isawaitable(awaitable):
            continue
        for other in awaitables:
            # Nobody is going to await these, which the interpreter would complain of.
            if inspect.iscoroutine(other):
                other.close()
        raise WorkflowUsageError(
            f"{name} takes calls to be awaited, as in {name}(fetch(1), fetch(2)) or "
            f"{name}(*calls), but argument {position} is {awaitable!r}"
        )
