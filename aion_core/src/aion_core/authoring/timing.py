"""Time in workflows: a clock that history drives, durable sleeps and deadlines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from aion_core.errors import TooSlowError
from aion_core.machine.kernel import current_task
from aion_core.machine.scopes import CancelScope
from aion_core.policies import seconds

__all__ = ["fail_after", "move_on_after", "now", "sleep", "sleep_until"]


def now() -> datetime:
    """The instant, aware and in UTC, at which what the code reacts to was recorded."""
    return current_task().environment.now


async def sleep(duration: float | timedelta) -> None:
    """Sleep for seconds or a ``timedelta``, over restarts; 0 is a bare checkpoint.

    Raises:
        ValueError: the duration is negative or NaN.
    """
    task = current_task()
    wait = timedelta(seconds=seconds(duration))
    await task.environment.sleep_until(task, task.environment.now + wait)


async def sleep_until(instant: datetime) -> None:
    """Sleep until an aware instant; a past one is a bare checkpoint."""
    if instant.tzinfo is None:
        raise ValueError("sleep_until takes an aware datetime; give it a time zone, like UTC")
    task = current_task()
    await task.environment.sleep_until(task, instant)


def move_on_after(duration: float | timedelta, *, shield: bool = False) -> CancelScope:
    """A scope that is cancelled after a time, over restarts, without an error.

    Ask ``scope.cancelled_caught`` afterwards whether that happened.
    """
    return CancelScope(relative_deadline=duration, shield=shield)


@contextmanager
def fail_after(duration: float | timedelta, *, shield: bool = False) -> Iterator[CancelScope]:
    """A scope that is cancelled after a time, over restarts, and then raises.

    Raises:
        TooSlowError: the time was over.
    """
    with move_on_after(duration, shield=shield) as scope:
        yield scope
    if scope.cancelled_caught:
        raise TooSlowError(f"not done within {seconds(duration):g} s")
