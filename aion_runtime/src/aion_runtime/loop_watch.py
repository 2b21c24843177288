"""The loop watch: sees from a thread that an activity keeps an event loop, and says which one.

An async activity that computes, or calls what blocks, stops everything on its loop: others cannot
send their heartbeats, and nobody notices that its own are missing.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import trio

from aion_core.authoring.attempt import RunningAttempt, attempt_in
from aion_runtime.asyncio_loop import AsyncioLoop
from aion_runtime.attempt import Attempt
from aion_runtime.clock import real_seconds

__all__ = ["Pulse", "asyncio_pulse", "trio_pulse", "watched_loops"]

logger = logging.getLogger("aion_runtime")

INTERVAL_S = 0.1
"""Seconds between two looks."""

NOTICED_S = 0.25
"""Seconds after which a loop that has not come round is kept by somebody."""

REPORTED_S = 1.0
"""Seconds after which that is logged."""


class Pulse:
    """One event loop, asked again and again to answer.

    Args:
        is_busy: are activities on it? Only then is it asked.
        call_soon: has something called in its thread.
        thread: identifier of its thread; None while it has none.
        at_work: the attempt in whose step the loop is, called from the watch's thread.
    """

    def __init__(
        self,
        is_busy: Callable[[], bool],
        call_soon: Callable[[Callable[[], object]], object],
        thread: Callable[[], int | None],
        at_work: Callable[[], RunningAttempt | None],
    ) -> None:
        self._is_busy = is_busy
        self._call_soon = call_soon
        self._thread = thread
        self._at_work = at_work
        self._asked_at: float | None = None
        self._kept_at: float | None = None
        self._keeper: Attempt | None = None
        self._keeps_since = 0.0
        self._is_reported = False

    def was_kept_within(self, seconds: float) -> bool:
        """Has it not come round at some moment of the last so many real seconds?"""
        return self._kept_at is not None and real_seconds() - self._kept_at < seconds

    def look(self) -> None:
        """See whether it has answered, and else who keeps it."""
        now, asked_at = real_seconds(), self._asked_at
        if asked_at is None:
            self._keeper = None
            if self._is_busy():
                self._asked_at = now
                self._call_soon(self._answer)
            return
        if now - asked_at < NOTICED_S:
            return
        self._kept_at = now
        at_work = self._at_work()
        if at_work is None or not isinstance(at_work, Attempt):
            self._keeper = None
            return
        if at_work is not self._keeper:
            is_first = self._keeper is None and now - asked_at < NOTICED_S + 2 * INTERVAL_S
            self._keeps_since = asked_at if is_first else now
            self._keeper, self._is_reported = at_work, False
        self._act_on(at_work, now - self._keeps_since)

    def _answer(self) -> None:
        self._asked_at = None

    def _act_on(self, attempt: Attempt, spent: float) -> None:
        is_too_silent = attempt.keeps_its_loop(spent, self._stack)
        if is_too_silent or (spent >= REPORTED_S and not self._is_reported):
            self._is_reported = True
            logger.error(
                "activity %r of workflow %r has kept its event loop for %.1f s, and everybody else "
                "on it waits%s; make it a plain function, which runs in a thread. It is at:\n%s",
                attempt.info.activity_type,
                attempt.info.workflow_id,
                spent,
                "; it has failed, because it sent no heartbeat meanwhile" if is_too_silent else "",
                self._stack(),
            )

    def _stack(self) -> str:
        frame = _frame_of(self._thread())
        return "unknown" if frame is None else "".join(traceback.format_stack(frame))


def trio_pulse(count: Callable[[], int]) -> Pulse:
    """That of the trio loop that calls this.

    Args:
        count: how many attempts are under way.
    """
    thread, token = threading.get_ident(), trio.lowlevel.current_trio_token()
    return Pulse(
        lambda: count() > 0, token.run_sync_soon, lambda: thread, lambda: _attempt_at_work(thread)
    )


def asyncio_pulse(loop: AsyncioLoop) -> Pulse:
    """That of the loop for activities that need asyncio."""
    return Pulse(lambda: loop.is_busy, loop.call_soon, lambda: loop.thread, loop.attempt_at_work)


def _attempt_at_work(thread: int) -> RunningAttempt | None:
    """The attempt in whose step trio's loop in a thread is, that of a task it has started included.

    While this thread runs the other one stands still between two instructions.
    """
    frame = _frame_of(thread)
    task: trio.lowlevel.Task | None = None
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith("trio."):
            found = frame.f_locals.get("task")
            # The outermost is the loop's own; trio may deal with other tasks further in.
            task = found if isinstance(found, trio.lowlevel.Task) else task
        frame = frame.f_back
    return None if task is None else attempt_in(task.context)


@contextmanager
def watched_loops(*pulses: Pulse) -> Iterator[None]:
    """Look at event loops, from a thread, for the length of the block."""
    over = threading.Event()

    def look_now_and_then() -> None:
        while not over.wait(INTERVAL_S):
            for pulse in pulses:
                with contextlib.suppress(trio.RunFinishedError):
                    pulse.look()

    looker = threading.Thread(target=look_now_and_then, name="aion loop watch", daemon=True)
    looker.start()
    try:
        yield
    finally:
        over.set()
        looker.join()


def _frame_of(thread: int | None) -> FrameType | None:
    return None if thread is None else sys._current_frames().get(thread)
