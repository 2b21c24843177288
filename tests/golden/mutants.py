"""Mutants: engines with one bug each. The golden rule has to find every one of them.

Each is a context in which the bug is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any

import attrs

from aion_core import events as e
from aion_core.contracts import Append
from aion_core.errors import AionError
from aion_core.ids import TaskPath
from aion_core.machine import arrivals as a
from aion_core.machine import nursery
from aion_core.machine.judging import Judge
from aion_core.machine.run import Run, Step
from aion_core.machine.tasks import current_task
from aion_core.machine.workflow_machine import WorkflowMachine
from aion_runtime.attempts import AttemptManager
from aion_runtime.dispatcher import Dispatcher
from aion_runtime.entries import Entry, Mail
from aion_runtime.recovery import startup
from aion_runtime.timers import TimerService
from aion_runtime.writing import Stepped

__all__ = ["MUTANTS", "Mutant"]

Mutant = Callable[[], AbstractContextManager[None]]


@contextmanager
def _changed(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Put something else in the place of an attribute; ``make`` is given what was there."""
    original = getattr(owner, name)
    setattr(owner, name, make(original))
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def effect_before_append() -> Iterator[None]:
    """Activities begin when their run has decided to call them, not when that is durable."""

    def make(original: Callable[..., None]) -> Callable[..., None]:
        def decide(self: Dispatcher, entry: Entry, stepped: list[Stepped]) -> None:
            original(self, entry, stepped)
            for event in stepped[-1].step.events:
                if isinstance(event, e.ActivityScheduled):
                    self._attempts.consider(entry, event.activity_id)

        return decide

    with _changed(Dispatcher, "_decide", make):
        yield


@contextmanager
def lost_outcome() -> Iterator[None]:
    """The outcome of an attempt that was handed out again after a crash is dropped."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def judge(self: Judge, arrival: a.ActivityOutcome | a.Redelivery, now: datetime) -> Any:
            row = self._projection.activities.get(arrival.activity_id)
            if isinstance(arrival, a.ActivityOutcome) and row is not None and row.delivery > 1:
                return None
            return original(self, arrival, now)

        return judge

    with _changed(Judge, "_judge_activity", make):
        yield


@contextmanager
def double_timer() -> Iterator[None]:
    """A timer that came due while no engine was there fires twice."""

    started: list[TimerService] = []

    def twice(original: Callable[..., Any]) -> Callable[..., Any]:
        async def deliver_due(self: TimerService) -> None:
            is_start = self not in started
            started.append(self)
            for due in await self._store.expired_timers(self._clock.now()) if is_start else ():
                row = due.timer
                arrival = a.TimerDue(
                    timer_id=row.timer_id, started_seq=row.started_seq, fire_at=row.fire_at
                )
                self._fire.__self__.post(due.workflow_id, arrival)  # type: ignore[attr-defined]  # of the dispatcher
            await original(self)

        return deliver_due

    def accepting(original: Callable[..., Any]) -> Callable[..., Any]:
        def judge(self: Judge, arrival: a.TimerDue, now: datetime) -> e.HistoryEvent | None:
            event: e.HistoryEvent | None = original(self, arrival, now)
            if event is not None or not self._projection.is_open:
                return event
            return e.TimerFired(
                seq=self._projection.head + 1,
                recorded_at=now,
                workflow_id=self._workflow_id,
                timer_id=arrival.timer_id,
                started_seq=arrival.started_seq,
            )

        return judge

    with (
        _changed(TimerService, "deliver_due", twice),
        _changed(Judge, "_judge_timer", accepting),
    ):
        yield


@contextmanager
def renumbered_branch() -> Iterator[None]:
    """A task has another place when its run is replayed, and its activities have other ids."""

    def make(original: Callable[..., TaskPath]) -> Callable[..., TaskPath]:
        def child_path(parent: TaskPath, ordinal: int) -> TaskPath:
            return original(parent, ordinal + current_task().environment.is_replaying)

        return child_path

    with _changed(nursery, "child_path", make):
        yield


@contextmanager
def signal_taken_twice() -> Iterator[None]:
    """A signal that is sent again, because its sender was not answered, is taken again."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def judge(
            self: Judge, arrival: a.SignalSentToRun | a.UpdateSentToRun, now: datetime
        ) -> e.HistoryEvent | AionError | None:
            if isinstance(arrival, a.SignalSentToRun):
                self._projection.signal_ids -= {arrival.signal_id}
            verdict: e.HistoryEvent | AionError | None = original(self, arrival, now)
            return verdict

        return judge

    with _changed(Judge, "_judge_sending", make):
        yield


@contextmanager
def cancel_lost() -> Iterator[None]:
    """Code that is brought back does not know any more that it was asked to stop."""

    def make(original: Callable[..., None]) -> Callable[..., None]:
        def apply(self: WorkflowMachine, arrival: e.HistoryEvent) -> None:
            is_lost = isinstance(arrival, e.WorkflowCancelRequested)
            if not (is_lost and self.environment.is_replaying):
                original(self, arrival)

        return apply

    with _changed(WorkflowMachine, "_apply", make):
        yield


@contextmanager
def message_delivered_twice() -> Iterator[None]:
    """A message is not consumed in the append by which it is taken."""

    def make(original: Callable[..., Append | None]) -> Callable[..., Append | None]:
        def append(self: Stepped) -> Append | None:
            written = original(self)
            return None if written is None else attrs.evolve(written, consume=())

        return append

    with _changed(Stepped, "append", make):
        yield


@contextmanager
def message_not_stored() -> Iterator[None]:
    """What a run has for another one is handed over in memory, and stored nowhere."""

    def make(original: Callable[..., Append | None]) -> Callable[..., Append | None]:
        def append(self: Stepped) -> Append | None:
            written = original(self)
            return None if written is None else attrs.evolve(written, consume=(), post=())

        return append

    with _changed(Stepped, "append", make):
        yield


@contextmanager
def seq_before_activation() -> Iterator[None]:
    """All arrivals of a step get their seqs first, and then the code is activated by each."""
    waiting: list[e.HistoryEvent] = []

    def defer(_: Callable[..., None]) -> Callable[..., None]:
        def activate(self: Run, arrival: e.HistoryEvent, step: Step) -> None:
            waiting.append(arrival)

        return activate

    activate: Callable[..., None] = Run._activate

    def make(original: Callable[..., None]) -> Callable[..., None]:
        def take_all(self: Run, arrivals: Sequence[a.Arrival], now: datetime, step: Step) -> None:
            original(self, arrivals, now, step)
            while waiting:
                activate(self, waiting.pop(0), step)

        return take_all

    with _changed(Run, "_activate", defer), _changed(Run, "_take_all", make):
        yield


@contextmanager
def answered_too_early() -> Iterator[None]:
    """A sender is told that something was taken when it has reached the mailbox."""

    def make(original: Callable[..., None]) -> Callable[..., None]:
        def post(self: Dispatcher, workflow_id: Any, mail: Mail) -> None:
            original(self, workflow_id, mail)
            if mail.receipt is not None:
                mail.receipt.settle(None)

        return post

    with _changed(Dispatcher, "_post", make):
        yield


@contextmanager
def attempt_made_twice() -> Iterator[None]:
    """An attempt is begun twice."""

    def make(original: Callable[..., None]) -> Callable[..., None]:
        def begin(self: AttemptManager, *call: Any, **is_limited: bool) -> None:
            original(self, *call, **is_limited)
            original(self, *call, **is_limited)

        return begin

    with _changed(AttemptManager, "_begin", make):
        yield


@contextmanager
def time_from_the_tail() -> Iterator[None]:
    """In a replay ``now()`` is the time of the last event, not of the one that is replayed."""
    tails: list[datetime] = []

    def noting(original: Callable[..., Any]) -> Callable[..., Any]:
        def pieces(self: WorkflowMachine, history: Sequence[e.HistoryEvent]) -> Iterable[Any]:
            tails.append(history[-1].recorded_at)
            yield from original(self, history)

        return pieces

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def activate(self: WorkflowMachine, arrival: e.HistoryEvent, now: datetime) -> Any:
            return original(self, arrival, tails[-1] if self.environment.is_replaying else now)

        return activate

    with (
        _changed(WorkflowMachine, "replaying_in_pieces", noting),
        _changed(WorkflowMachine, "_activate", make),
    ):
        yield


@contextmanager
def retry_forgotten() -> Iterator[None]:
    """After a crash nobody remembers that a failed activity is to be tried again."""

    def make(_: Callable[..., Any]) -> Callable[..., Any]:
        async def arm_retries(*_: object) -> None:
            pass

        return arm_retries

    with _changed(startup, "_arm_retries", make):
        yield


MUTANTS: dict[Mutant, str] = {
    effect_before_append: "in_sequence",
    lost_outcome: "in_sequence",
    double_timer: "sleeper",
    renumbered_branch: "keyed",
    signal_taken_twice: "two_receivers",
    cancel_lost: "giving_up",
    message_delivered_twice: "one_child",
    message_not_stored: "one_child",
    seq_before_activation: "done_all_the_same",
    answered_too_early: "receiving",
    attempt_made_twice: "in_sequence",
    time_from_the_tail: "sleeper",
    retry_forgotten: "retried",
}
"""Every mutant, and a tale that tells it from an engine."""
