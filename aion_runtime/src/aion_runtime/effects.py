"""Effects: what follows from a step once it is durable, and not before.

Attempts are begun and stopped, timers are armed, senders and waiters are told, messages are handed
on, and what the code has said goes to the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from aion_core import events as e
from aion_core.contracts import Message
from aion_core.history.statuses import CLOSED_BY
from aion_core.ids import START_TIMER, WorkflowId
from aion_core.machine.arrivals import TimerDue
from aion_core.machine.run import LATER, Refusal
from aion_core.machine.updates import unanswered
from aion_runtime.admission import Admission
from aion_runtime.answers import Answers
from aion_runtime.attempts import AttemptManager
from aion_runtime.closings import Closings
from aion_runtime.entries import Entry, Mail
from aion_runtime.in_hand import InHand
from aion_runtime.observing import Observers
from aion_runtime.saying import say
from aion_runtime.writing import Stepped, is_undue

__all__ = ["Effects"]

logger = logging.getLogger("aion_runtime")


class Effects:
    """Acts on what has been recorded.

    Args:
        in_hand: which messages are being taken.
        closings: who waits for the end of which workflow.
        answers: who waits for the answer to which update.
        deliver: hands a message over to its run.
        attempts: begins and stops attempts.
        arm_timer: has a timer fire at its instant.
    """

    def __init__(
        self,
        admission: Admission,
        in_hand: InHand,
        closings: Closings,
        answers: Answers,
        observers: Observers,
        deliver: Callable[[Message], None],
        attempts: AttemptManager,
        arm_timer: Callable[[datetime], None],
    ) -> None:
        self._admission = admission
        self._in_hand = in_hand
        self._closings = closings
        self._answers = answers
        self._observers = observers
        self._deliver = deliver
        self._attempts = attempts
        self._arm_timer = arm_timer
        # What is not here has no effect, but for those who wait for something: see `_tell`.
        self._acts: dict[type[e.HistoryEvent], Callable[[Entry, e.HistoryEvent], None]] = {
            e.ActivityScheduled: self._consider,
            e.ActivityCancelRequested: self._consider,
            e.ActivityStarted: self._delivered,
            e.ActivityCompleted: self._forget,
            e.ActivityCancelled: self._forget,
            e.ActivityFailed: self._failed,
            e.TimerStarted: self._timer_started,
            e.TimerFired: self._timer_fired,
            e.WorkflowStarted: self._workflow_started,
            e.UpdateCompleted: self._tell,
            e.UpdateFailed: self._tell,
            e.WorkflowFailed: self._tell,
        }

    def of(self, stepped: Stepped) -> None:
        """All that follows from a step which has just become durable."""
        entry, events = stepped.entry, stepped.step.events
        run = entry.run
        assert run is not None
        if events:
            self._observers.committed(events)
        acts = self._acts
        for event in self._of_newest_run(entry, events):
            act = acts.get(event.__class__)
            if act is not None:
                act(entry, event)
        if entry.postponed:
            postponed, entry.postponed = entry.postponed, []
            for activity_id in postponed:
                self._attempts.consider(entry, activity_id)
        self._settle_all(stepped)
        for message in stepped.posts:
            self._deliver(message)
        if stepped.lines:
            say(stepped.lines, entry.workflow_id)
        for name, error in run.take_dropped_signals():
            logger.warning(
                "workflow %r dropped a signal %r that fits no receiver: %s",
                entry.workflow_id,
                name,
                error,
            )

    def adopt(self, stepped: Stepped) -> None:
        """A step turns out to be durable whose run has been loaded again meanwhile: who waits for
        what it did is told.

        What else follows from it is found in the history, and in the messages of the store.
        """
        entry = stepped.entry
        self._observers.committed(stepped.step.events)
        for event in stepped.step.events:
            self._tell(entry, event)
            if isinstance(event, e.ActivityStarted):
                self._attempts.turns.note(entry, event.activity_id)
        self._settle_all(stepped)
        say(stepped.lines, entry.workflow_id)

    def announce_end(self, workflow_id: WorkflowId, terminal: e.HistoryEvent) -> None:
        """A workflow has ended."""
        self._admission.ended(workflow_id)
        self._closings.announce(workflow_id, terminal)
        closed = unanswered(workflow_id, CLOSED_BY[type(terminal)].value)
        self._answers.fail(workflow_id, closed)

    def _of_newest_run(
        self, entry: Entry, events: Sequence[e.HistoryEvent]
    ) -> Sequence[e.HistoryEvent]:
        """Leave out what a run did that was continued: its activities have the ids of the next."""
        for index in reversed(range(len(events))):
            if events[index].__class__ is e.WorkflowContinuedAsNew:
                self._attempts.stop_all(entry)
                for event in events[:index]:
                    self._tell(entry, event)
                return events[index + 1 :]
        return events

    def _settle_all(self, stepped: Stepped) -> None:
        for mail, refusal in zip(stepped.mails, stepped.step.refusals, strict=True):
            self._settle(stepped.entry, mail, refusal)

    def _settle(self, entry: Entry, mail: Mail, refusal: Refusal) -> None:
        """What became of an arrival is durable."""
        if refusal is LATER:
            entry.later.append(mail)
            return
        if isinstance(mail.arrival, TimerDue):
            entry.due_timers.pop(mail.arrival.started_seq, None)
        if mail.message_id is not None:
            if is_undue(mail, refusal):
                self._in_hand.postpone(entry.workflow_id, mail)
            else:
                self._in_hand.settle(mail.message_id)
        if mail.receipt is not None:
            mail.receipt.settle(refusal)

    def _consider(self, entry: Entry, event: e.HistoryEvent) -> None:
        assert isinstance(event, e.ActivityScheduled | e.ActivityCancelRequested)
        self._attempts.consider(entry, event.activity_id)

    def _delivered(self, entry: Entry, event: e.HistoryEvent) -> None:
        assert isinstance(event, e.ActivityStarted)
        self._attempts.delivered(entry, event.activity_id)

    def _forget(self, entry: Entry, event: e.HistoryEvent) -> None:
        assert isinstance(event, e.ActivityCompleted | e.ActivityFailed | e.ActivityCancelled)
        self._attempts.forget(entry, event.activity_id)

    def _failed(self, entry: Entry, event: e.HistoryEvent) -> None:
        assert isinstance(event, e.ActivityFailed)
        self._attempts.forget(entry, event.activity_id)
        self._attempts.consider(entry, event.activity_id)

    def _timer_started(self, entry: Entry, event: e.HistoryEvent) -> None:
        assert isinstance(event, e.TimerStarted)
        if event.timer_id == START_TIMER:
            run = entry.run
            timer = None if run is None else run.projection.timers.get(START_TIMER)
            # In the same step it may have ended, or begun.
            if run is not None and timer is not None:
                self._admission.waits(run, timer)
        self._arm_timer(event.fire_at)

    def _timer_fired(self, entry: Entry, event: e.HistoryEvent) -> None:
        assert isinstance(event, e.TimerFired)
        if event.timer_id == START_TIMER:
            self._admission.began(entry.workflow_id, event.recorded_at)

    def _workflow_started(self, entry: Entry, event: e.HistoryEvent) -> None:
        assert isinstance(event, e.WorkflowStarted)
        if event.not_before is None:
            self._admission.started(event)

    def _tell(self, entry: Entry, event: e.HistoryEvent) -> None:
        match event:
            case e.UpdateCompleted() | e.UpdateFailed():
                self._answers.announce(event)
            case e.WorkflowFailed():
                logger.warning(
                    "workflow %r failed: %s: %s",
                    event.workflow_id,
                    event.error.type,
                    event.error.message,
                )
