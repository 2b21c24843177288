"""Running a command's coroutine, with its one error as it was raised."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["run_async", "sole_cause"]

T = TypeVar("T")


def run_async(main: Callable[[], Awaitable[T]]) -> T:
    """Run it by trio; what nurseries have put into groups of one is taken out of them."""
    import trio

    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        error = sole_cause(group)
        if error is group:
            raise
        raise error from error.__cause__


def sole_cause(error: BaseException) -> BaseException:
    """What nurseries have wrapped in groups, if it is one error, or nothing but Ctrl-C."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    # The second one may have come while tasks were ending by the first.
    if isinstance(error, BaseExceptionGroup) and error.split(KeyboardInterrupt)[1] is None:
        return KeyboardInterrupt()
    return error
