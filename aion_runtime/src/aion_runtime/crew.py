"""The crew: trio tasks that make attempts, each one after the other as long as none has to wait.

A task and a cancel scope of its own for each attempt would cost more than all the rest of what an
engine does for an activity that never waits. Here a task that has made one attempt makes the next,
in the same scope, and only for an attempt that waits another task is called.
"""

from __future__ import annotations

import contextvars
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from math import inf
from typing import Any, TypeVar

import attrs
import trio

from aion_core.authoring.activities import entered_activity
from aion_core.contracts import LiveExecutor
from aion_runtime.attempt import Attempt
from aion_runtime.clock import Clock
from aion_runtime.entries import Entry
from aion_runtime.executing import AttemptOutcome, call, outcome_by_cancelling, outcome_by_error
from aion_runtime.heartbeats import Heartbeats

__all__ = ["Crew", "Duty"]

T = TypeVar("T")

MAX_IDLE = 100
"""So many tasks stay when there is nothing to do. To wake one costs a fifth of making another."""

TURN = 64
"""After so many attempts others in the event loop have their turn, and then another of the crew."""


@attrs.define(eq=False)
class Duty:
    """An attempt that is to be made.

    Attributes:
        is_informed: it has what the attempts before it have said.
        began_at: when its turn came, by the steady clock; 0 when nobody wants to know.
    """

    entry: Entry
    attempt: Attempt
    is_informed: bool
    began_at: float = 0.0


class Crew:
    """Makes attempts in the order in which they come.

    Args:
        nursery: where the tasks are.
        executor: what really makes an attempt.
        clock: by which its time is taken; None when nobody wants to know.
        ended: told once how each has ended; None when the stopping engine has left it.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        executor: LiveExecutor,
        heartbeats: Heartbeats,
        clock: Clock | None,
        ended: Callable[[Duty, AttemptOutcome | None], None],
    ) -> None:
        self._nursery = nursery
        self._executor = executor
        self._heartbeats = heartbeats
        self._clock = clock
        self._ended = ended
        # Whoever begins an attempt may stand in the middle of another one.
        self._context = contextvars.copy_context()
        self._duties: deque[Duty] = deque()
        self._idle: list[trio.lowlevel.Task] = []
        self._is_called = False

    def begin(self, duty: Duty) -> None:
        """Have an attempt made."""
        self._duties.append(duty)
        self._call()

    def _call(self) -> None:
        """Have a task look for duties, unless one is on its way already."""
        if self._is_called:
            return
        self._is_called = True
        if self._idle:
            trio.lowlevel.reschedule(self._idle.pop())
        else:
            self._context.run(partial(self._nursery.start_soon, self._work, name="aion attempts"))

    @trio.lowlevel.enable_ki_protection
    async def _work(self) -> None:
        while True:
            self._is_called = False
            await self._make_some()
            if self._duties:
                self._call()
            if trio.lowlevel.current_task().child_nurseries:
                # An attempt has left one open. Whoever closes it takes the newest of this task for
                # it, so there must not be another; and if this ended, trio would end all with it.
                await trio.sleep_forever()
            if len(self._idle) >= MAX_IDLE:
                return
            await self._rest()

    async def _rest(self) -> None:
        task = trio.lowlevel.current_task()

        def leave(_: object) -> trio.lowlevel.Abort:
            self._idle.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        self._idle.append(task)
        await trio.lowlevel.wait_task_rescheduled(leave)

    async def _make_some(self) -> None:
        """Make one attempt after the other in a scope that all of them leave as they found it.

        Every error leaves the scope, so that what belongs to it does not go into an outcome.
        """
        duty: Duty | None = None
        outcome: AttemptOutcome | None = None
        try:
            with trio.CancelScope() as scope:
                place = _place()
                for _ in range(TURN):
                    if not self._duties:
                        return
                    duty, outcome = self._duties.popleft(), None
                    if self._duties:
                        self._call()  # this one may wait
                    outcome = await self._make(duty, scope)
                    # Whoever has left a scope open has to learn of that from trio.
                    if not _KNOWS_SCOPES or _place() is not place:
                        break
                    made, duty = duty, None
                    self._ended(made, outcome)
                    if _is_used(scope):
                        return
        except BaseException as error:
            if duty is None:
                raise
            self._end(duty, partial(outcome_by_error, error))
        else:
            if duty is not None:
                self._end(duty, lambda attempt: outcome or outcome_by_cancelling(attempt))

    async def _make(self, duty: Duty, scope: trio.CancelScope) -> AttemptOutcome:
        attempt = duty.attempt
        attempt.enter(scope)
        if self._clock is not None:
            duty.began_at = self._clock.monotonic()
        # For who watches this task; what is set below is seen by the attempt alone.
        entered_activity(attempt)
        made = call(self._executor, self._heartbeats, attempt, is_informed=duty.is_informed)
        return await _within(contextvars.copy_context(), made)

    def _end(self, duty: Duty, outcome_of: Callable[[Attempt], AttemptOutcome]) -> None:
        outcome: AttemptOutcome | None = None
        try:
            outcome = outcome_of(duty.attempt)
        finally:
            self._ended(duty, outcome)


def _is_used(scope: trio.CancelScope) -> bool:
    """Has an attempt, or its executor, asked for something that would befall the next one, too?"""
    return scope.cancel_called or scope.deadline != inf or scope.shield


@types.coroutine
def _within(
    context: contextvars.Context, coroutine: Coroutine[Any, Any, T]
) -> Generator[Any, Any, T]:
    """Await something whose every step runs in a context."""
    run, send = context.run, coroutine.send
    try:
        waits_for = run(send, None)
        while True:
            try:
                value = yield waits_for
            except BaseException as error:
                waits_for = run(coroutine.throw, error)
            else:
                waits_for = run(send, value)
    except StopIteration as end:
        returned: T = end.value
        return returned


# Who leaves a scope of trio open, as an async generator does that nobody closes, has everything
# that its task does afterwards cancelled with it. Trio notices that at the end of the scope around
# it, and tells nobody before. So this looks where trio itself looks; with a trio that keeps it
# elsewhere each attempt has a scope of its own.
_KNOWS_SCOPES = hasattr(trio.lowlevel.Task, "_cancel_status")


def _place() -> object:
    """In which scopes the current task is; the same object as long as nothing has changed."""
    return trio.lowlevel.current_task()._cancel_status if _KNOWS_SCOPES else None
