"""Several things at once in a workflow, on top of nurseries."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import Any, TypeVar, overload

from aion_core.errors import WorkflowUsageError
from aion_core.machine.nursery import open_nursery

__all__ = ["gather"]

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
    for position, awaitable in enumerate(awaitables):
        if not inspect.isawaitable(awaitable):
            raise WorkflowUsageError(
                f"gather takes calls to be awaited, but argument {position} is {awaitable!r}"
            )
    results: list[Any] = [None] * len(awaitables)

    async def keep(index: int, awaitable: Awaitable[Any]) -> None:
        results[index] = await awaitable

    async with open_nursery() as nursery:
        for index, awaitable in enumerate(awaitables):
            nursery.start_soon(keep, index, awaitable)
    return tuple(results)
