"""The watchdog: reports activations that take too long, and stops those that never come to rest.

Workflow code runs in the engine's thread and keeps everybody else waiting. A loop without an await
can be seen, and stopped, from another thread only.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from aion_core.machine.workflow_machine import WorkflowMachine
from aion_runtime.clock import cpu_time_of
from aion_runtime.guard import PATIENCE, Guard, NeverRests, RunningActivation

__all__ = ["Watchdog", "watched"]

logger = logging.getLogger("aion_runtime")

SHORTEST_INTERVAL_S = 0.005
LONGEST_INTERVAL_S = 0.5

TRIES = 10
"""How often code is interrupted that goes on all the same, before it is left alone."""

_OURS = {"aion_core", "aion_runtime"}


class Watchdog:
    """Looks at the activation that a thread is in.

    Args:
        guard: around the activations.
        thread: identifier of the thread.
        cpu_time: seconds of CPU time that the thread has used.
    """

    def __init__(self, guard: Guard, thread: int, cpu_time: Callable[[], float]) -> None:
        self._guard = guard
        self._thread = thread
        self._cpu_time = cpu_time
        self._seen: RunningActivation | None = None
        self._seen_at = 0.0
        self._reported = False
        self._tries = 0

    def look(self) -> None:
        """See how long the activation under way has taken, and act on it."""
        activation = self._guard.running
        if activation is None or activation is not self._seen:
            if activation is not None:
                activation.is_seen = True
            self._seen, self._seen_at = activation, self._cpu_time()
            self._reported, self._tries = False, 0
            return
        spent = self._cpu_time() - self._seen_at
        if spent > self._guard.limit and not self._reported:
            self._reported = True
            self._report(spent)
        if spent > self._guard.limit * PATIENCE and self._tries <= TRIES:
            self._stop(activation)

    def _report(self, spent: float) -> None:
        frame = sys._current_frames().get(self._thread)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "unknown\n"
        logger.warning(
            "workflow %r has been in one activation for %.2f s of CPU time, and everybody else "
            "waits; do such work in an activity. It is at:\n%s",
            _workflow_at(frame),
            spent,
            stack,
        )

    def _stop(self, activation: RunningActivation) -> None:
        """Interrupt the author's code, and no other.

        While this thread runs the other one stands where it will raise the exception: between two
        instructions of the frame that is seen here. So it is raised in that frame, and what is
        ours is left to end by itself.
        """
        with self._guard.stopping:
            frame = sys._current_frames().get(self._thread)
            if self._guard.running is not activation or frame is None or _is_ours(frame):
                return
            self._tries += 1
            if self._tries > TRIES:
                logger.error(
                    "workflow %r catches what would stop it and never comes to rest; this engine "
                    "stands still until its process is restarted with mended code",
                    _workflow_at(frame),
                )
                return
            activation.is_stopped = True
            raise_in(self._thread, NeverRests)


def raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have a thread raise an exception where it stands; None takes back one not yet raised."""
    what = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)


@contextmanager
def watched(guard: Guard) -> Iterator[None]:
    """Watch the activations of this thread."""
    thread = threading.get_ident()
    watchdog = Watchdog(guard, thread, cpu_time_of(thread))
    interval = min(max(guard.limit / 4, SHORTEST_INTERVAL_S), LONGEST_INTERVAL_S)
    over = threading.Event()

    def look_now_and_then() -> None:
        while not over.wait(interval):
            watchdog.look()

    looker = threading.Thread(target=look_now_and_then, name="aion watchdog", daemon=True)
    looker.start()
    try:
        yield
    finally:
        over.set()
        looker.join()


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in _OURS


def _workflow_at(frame: FrameType | None) -> str | None:
    """The workflow whose machine is at work on a stack."""
    while frame is not None:
        if _is_ours(frame):
            machine = frame.f_locals.get("self")
            if isinstance(machine, WorkflowMachine):
                return machine.workflow_id
        frame = frame.f_back
    return None
