"""Time in workflows: a clock that history drives, durable sleeps, deadlines and timers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from aion_core.errors import TooSlowError
from aion_core.ids import named_timer
from aion_core.machine.kernel import Kernel
from aion_core.machine.scopes import CancelScope
from aion_core.machine.tasks import current_task
from aion_core.machine.timers import Timers
from aion_core.policies import seconds

__all__ = [
    "NamedTimer",
    "fail_after",
    "move_on_after",
    "now",
    "sleep",
    "sleep_until",
    "start_timer",
]


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
    await task.environment.timers.sleep_until(task, task.environment.now + wait)


async def sleep_until(instant: datetime) -> None:
    """Sleep until an aware instant; a past one is a bare checkpoint."""
    if not isinstance(instant, datetime):
        raise TypeError(f"sleep_until takes an aware datetime, not {instant!r}")
    if instant.tzinfo is None:
        raise ValueError("sleep_until takes an aware datetime; give it a time zone, like UTC")
    task = current_task()
    await task.environment.timers.sleep_until(task, instant)


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


class NamedTimer:
    """A timer that can be restarted, cancelled and waited for by any task. Got from `start_timer`.

    Attributes:
        name: as it was given to `start_timer`. All timers of a name are one in their run.
    """

    def __init__(self, kernel: Kernel, name: str) -> None:
        self._kernel = kernel
        self._id = named_timer(name)
        self.name = name

    async def wait(self) -> bool:
        """Wait until it has fired: True; or has been cancelled: False. Restarted, it waits on.

        Raises:
            WorkflowUsageError: it has been cancelled before.
        """
        return await self._timers.wait_named(self._kernel.user_of("timer"), self._id)

    def cancel(self) -> bool:
        """Stop it, and wake who waits for it. False when it is not running."""
        return self._timers.cancel_named(self._kernel.user_of("timer"), self._id)

    @property
    def is_running(self) -> bool:
        """Will it still fire?"""
        return self._timers.is_running(self._id)

    @property
    def has_fired(self) -> bool:
        """Has it fired since it was started last?"""
        return self._timers.has_fired(self._id)

    @property
    def _timers(self) -> Timers:
        return self._kernel.environment.timers

    def __repr__(self) -> str:
        return f"<timer {self.name!r}>"


def start_timer(name: str, duration: float | timedelta) -> NamedTimer:
    """Start a timer by its name; one of that name that is running is started anew.

    Args:
        name: unique in the run.
        duration: seconds or a ``timedelta``, kept over restarts; with 0 it has fired at once.

    Raises:
        InvalidIdError: the name cannot be one.
        ValueError: the duration is negative or NaN.
    """
    task = current_task()
    environment = task.environment
    fire_at = environment.now + timedelta(seconds=seconds(duration))
    environment.timers.start_named(task, named_timer(name), fire_at)
    return NamedTimer(task.kernel, name)
