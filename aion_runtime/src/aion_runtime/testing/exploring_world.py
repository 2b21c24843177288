"""The world of an exploration: it holds the outcome of every activity until the script says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import trio

from aion_core.contracts import ActivityAttempt, ChildOutcome, LiveExecutor
from aion_core.errors import AionError
from aion_core.ids import TimerId, WorkflowId
from aion_core.machine.arrivals import AttemptCompleted
from aion_core.payloads import Payload
from aion_runtime.testing.exploring_ledger import AttemptKey, Ledger
from aion_runtime.testing.script import Outcome

__all__ = ["World"]


class _Call:
    """An attempt under way."""

    def __init__(self, attempt: ActivityAttempt) -> None:
        self.attempt = attempt
        self.key = AttemptKey.of(attempt.info)
        self.answer: object = None
        self.answered = trio.Event()
        self.is_stopping = False
        self.may_stop = trio.Event()


class World(LiveExecutor):
    """An executor that runs nothing: whoever calls an activity waits for the script's word.

    Args:
        ledger: told of every attempt.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._calls: dict[AttemptKey, _Call] = {}
        self._is_over = False

    async def run_activity(self, attempt: ActivityAttempt) -> AttemptCompleted:
        """Wait for the outcome."""
        call = _Call(attempt)
        self._ledger.begun(call.key)
        former = self._calls.get(call.key)
        if former is not None:
            # Begun twice, which the ledger has noted: nobody could find it any more to let it stop.
            former.may_stop.set()
        self._calls[call.key] = call
        try:
            await call.answered.wait()
        except trio.Cancelled:
            call.is_stopping = True
            if not self._is_over:
                # Those that are stopped together would end in an order that nobody knows. It ends
                # when `let_one_stop` or `end_life` is called, and one of them is.
                with trio.CancelScope(shield=True):
                    await call.may_stop.wait()
            raise
        finally:
            if self._calls.get(call.key) is call:
                del self._calls[call.key]
        if isinstance(call.answer, BaseException):
            raise call.answer.with_traceback(None)
        result = attempt.definition.signature.encode_result(call.answer, attempt.converter)
        return AttemptCompleted(result)

    async def start_timer(self, timer_id: TimerId, fire_at: datetime) -> None:
        """Raises `AionError`: only an engine takes part in an exploration."""
        await trio.lowlevel.checkpoint()
        raise AionError("timers of an exploration are the engine's own")

    async def await_signal(self, name: str, index: int) -> Payload:
        """Raises `AionError`: only an engine takes part in an exploration."""
        await trio.lowlevel.checkpoint()
        raise AionError("signals of an exploration are the engine's own")

    async def spawn_child(
        self, workflow_type: str, input: Payload, child_workflow_id: WorkflowId
    ) -> ChildOutcome:
        """Raises `AionError`: only an engine takes part in an exploration."""
        await trio.lowlevel.checkpoint()
        raise AionError("children of an exploration are the engine's own")

    def open_for(self, outcome: Outcome) -> Sequence[AttemptKey]:
        """The attempts that an outcome may be meant for, in the order in which they were called."""
        calls = [
            call
            for call in self._calls.values()
            if call.attempt.info.activity_type == outcome.activity.name
            and outcome.of in (None, call.key.workflow_id)
            and not call.answered.is_set()
            and not call.is_stopping
        ]
        return sorted((call.key for call in calls), key=self._order)

    def open_activities(self) -> Sequence[str]:
        """The activities that somebody waits for."""
        waiting = [call for call in self._calls.values() if not call.answered.is_set()]
        return sorted({call.attempt.info.activity_type for call in waiting})

    def is_under_way(self, key: AttemptKey) -> bool:
        """Is this attempt being made?"""
        return key in self._calls

    def answer(self, key: AttemptKey, value: object) -> None:
        """Release the outcome of an attempt."""
        call = self._calls[key]
        call.answer = value
        call.answered.set()

    def let_one_stop(self) -> bool:
        """Of those that are to stop let the oldest do so; False when there is none."""
        stopping = [call for call in self._calls.values() if call.is_stopping]
        if not stopping:
            return False
        min(stopping, key=lambda call: self._order(call.key)).may_stop.set()
        return True

    def begin_life(self) -> None:
        """An engine opens."""
        self._calls.clear()
        self._is_over = False

    def end_life(self) -> None:
        """The engine ends, or has been killed: nothing is to be waited for."""
        self._is_over = True
        for call in self._calls.values():
            call.may_stop.set()

    def _order(self, key: AttemptKey) -> tuple[str, int]:
        row = self._ledger.row_of(key)
        return key.workflow_id, 0 if row is None else row.scheduled_seq
