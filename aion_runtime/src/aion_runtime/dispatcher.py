"""The dispatcher: takes arrivals to their runs, and is the only writer of every live run.

One loop: take the runs that have arrivals, step each (no I/O), append all steps in one
transaction, and only then act on them. While one batch is being written the next gathers.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import trio

from aion_core import events as e
from aion_core.contracts import Message, StoreWriter
from aion_core.errors import (
    AionError,
    CorruptHistoryError,
    EngineStoppedError,
    FencedError,
    StoreError,
    WorkflowStuckError,
)
from aion_core.history.statuses import CLOSED_BY
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import Arrival, Redelivery, StartRequest
from aion_core.machine.run import LATER, Refusal, Run, Step
from aion_core.machine.updates import unanswered
from aion_core.payloads import Payload
from aion_runtime.answers import Answers
from aion_runtime.asking import Question
from aion_runtime.attempts import AttemptManager
from aion_runtime.clock import Clock
from aion_runtime.closings import Closings
from aion_runtime.entries import Entry, Mail, Receipt, Stage
from aion_runtime.holding import Holder
from aion_runtime.in_hand import InHand
from aion_runtime.keeping import EndedOutside
from aion_runtime.letters import arrival_in, outgoing_message
from aion_runtime.observing import Observers
from aion_runtime.replay_check import ReplayCheck
from aion_runtime.residents import Residents
from aion_runtime.saying import say
from aion_runtime.waking import Waker
from aion_runtime.writing import Stepped, is_undue, write_steps

__all__ = ["Dispatcher"]

logger = logging.getLogger("aion_runtime")


class Dispatcher:
    """Mailboxes, and the loop that steps and writes the runs that have mail.

    Args:
        waker: brings runs into memory.
        holder: takes runs that cannot go on.
        on_fenced: called once when another writer has taken the store over.
        replay_check: replays what has been recorded, for tests; None does not.

    Attributes:
        closings: who waits for the end of which workflow.
        answers: who waits for the answer to which update.
    """

    def __init__(
        self,
        writer: StoreWriter,
        residents: Residents,
        waker: Waker,
        holder: Holder,
        closings: Closings,
        answers: Answers,
        observers: Observers,
        clock: Clock,
        on_fenced: Callable[[FencedError], None],
        replay_check: ReplayCheck | None,
    ) -> None:
        self._writer = writer
        self._replay_check = replay_check
        self._residents = residents
        self._waker = waker
        self._holder = holder
        self._observers = observers
        self._clock = clock
        self._on_fenced = on_fenced
        self._ready: deque[Entry] = deque()
        self._has_ready = trio.Event()
        self._over: EngineStoppedError | None = None
        self._in_hand = InHand()
        self.closings = closings
        self.answers = answers

    def connect(self, attempts: AttemptManager, arm_timer: Callable[[datetime], None]) -> None:
        """Say who acts on what has been recorded. Called once, before the loops run."""
        self._attempts = attempts
        self._arm_timer = arm_timer
        self._holder.connect(attempts)
        self._waker.connect(self._take_over, self.deliver, self._in_hand.settle)

    @property
    def stuck(self) -> Mapping[WorkflowId, str]:
        """Why a workflow cannot go on in this engine."""
        return self._holder.reasons

    def post(
        self, workflow_id: WorkflowId, arrival: Arrival, receipt: Receipt | None = None
    ) -> None:
        """Hand an arrival over; it is taken in one of the next steps of its workflow."""
        self._post(workflow_id, Mail(arrival, receipt))

    def deliver(self, message: Message) -> None:
        """Hand over what a message brings, once; the message is consumed with it."""
        if not self._in_hand.take(message.message_id):
            return
        try:
            arrival = arrival_in(message)
        except CorruptHistoryError as error:
            logger.error("a message is left where it is: %s", error)
            return
        self._post(message.target, Mail(arrival, message_id=message.message_id))

    async def ask(self, workflow_id: WorkflowId, query: str) -> Payload | None:
        """The answer to a query by what is durable of a run; None when it has ended.

        Raises:
            QueryError: the code does not know the query, or its answer failed.
            WorkflowStuckError: the run cannot go on in this engine.
            EngineStoppedError: the engine stopped first.
        """
        question = Question(query)
        if self._over is not None:
            raise self._over
        entry = self._residents.entry_of(workflow_id)
        if entry.stage is Stage.STUCK:
            raise WorkflowStuckError(workflow_id, self.stuck[workflow_id])
        run = entry.run
        if run is not None and entry.stage in (Stage.IDLE, Stage.READY) and not run.is_ahead:
            question.put_to(run)
        else:
            entry.questions.append(question)
            if entry.stage is Stage.COLD:
                self._waker.queue(entry)
        return await question.wait()

    def _post(self, workflow_id: WorkflowId, mail: Mail) -> None:
        if self._over is not None:
            _refuse(mail, self._over)
            return
        entry = self._residents.entry_of(workflow_id)
        if entry.stage is Stage.STUCK:
            self._holder.take(entry, mail)
            return
        entry.mailbox.append(mail)
        if entry.stage is Stage.COLD:
            self._waker.queue(entry)
        elif entry.stage is Stage.IDLE:
            self._queue_step(entry)

    def wake(self, workflow_id: WorkflowId) -> None:
        """Bring a workflow into memory, if it is not there, and do what its activities need."""
        entry = self._residents.entry_of(workflow_id)
        if entry.stage is Stage.COLD:
            self._waker.queue(entry)

    async def settled(self) -> None:
        """Return when nothing waits to be loaded, stepped or written any more."""
        await self._residents.until_none(_is_busy)
        while self._holder.is_busy:
            await self._holder.settled()
            await self._residents.until_none(_is_busy)

    def abandon(self) -> None:
        """The loops have ended: tell everybody who waits, and throw the code away."""
        self._over = error = EngineStoppedError(
            "the engine has stopped; what was recorded goes on when the store is opened again"
        )
        for entry in self._residents:
            for mail in (*entry.mailbox, *entry.later):
                _refuse(mail, error)
            for question in entry.questions:
                question.fail(error)
        self._residents.clear()
        self._holder.abandon(error)
        self.closings.end(error)
        self.answers.end(error)

    async def run(self) -> None:
        """Step and write, for ever."""
        while True:
            while self._ready:
                batch = tuple(self._ready)
                self._ready.clear()
                await self._step(batch)
            self._residents.rested()
            self._has_ready = trio.Event()
            await self._has_ready.wait()

    def _queue_step(self, entry: Entry) -> None:
        self._residents.used(entry)
        entry.stage = Stage.READY
        self._ready.append(entry)
        self._has_ready.set()

    def _take_over(self, entry: Entry, run: Run) -> None:
        """The entry is in memory."""
        entry.stage = Stage.IDLE
        # Asked for again below, unless it was recorded and only the answer lost.
        entry.mailbox = [mail for mail in entry.mailbox if not isinstance(mail.arrival, Redelivery)]
        stepped, entry.doubted = entry.doubted, None
        if stepped is not None:
            self._adopt(stepped)
        self._attempts.resume(entry)
        for timer in run.projection.timers.values():
            self._arm_timer(timer.fire_at)
        self._go_on(entry, run)

    def _adopt(self, stepped: Stepped) -> None:
        """A step is durable after all: who waits for what it did is told.

        What else follows from it is found in the history, and in the messages of the store.
        """
        entry = stepped.entry
        taken = {id(mail) for mail in stepped.mails}
        entry.mailbox = [mail for mail in entry.mailbox if id(mail) not in taken]
        self._observers.committed(stepped.step.events)
        for event in stepped.step.events:
            self._tell(event)
        for mail, refusal in zip(stepped.mails, stepped.step.refusals, strict=True):
            self._settle(entry, mail, refusal)
        say(stepped.lines, entry.workflow_id)

    def ended_outside(self, ended: EndedOutside) -> None:
        """A stuck run has been ended without its code."""
        workflow_id = ended.terminal.workflow_id
        self._holder.release(self._residents.entry_of(workflow_id))
        self._observers.committed([ended.terminal])
        self._announce_end(workflow_id, ended.terminal)
        if ended.consumed is not None:
            self._in_hand.settle(ended.consumed)
        for message in ended.waiting:
            self._in_hand.settle(message.message_id)
        for message in (*ended.waiting, *ended.posts):
            self.deliver(message)

    def _announce_end(self, workflow_id: WorkflowId, terminal: e.HistoryEvent) -> None:
        self.closings.announce(workflow_id, terminal)
        closed = unanswered(workflow_id, CLOSED_BY[type(terminal)].value)
        self.answers.fail(workflow_id, closed)

    def _go_on(self, entry: Entry, run: Run) -> None:
        """After a load or a step: queue the entry again, leave it in memory, or let it go."""
        if not run.is_ahead:
            questions, entry.questions = entry.questions, []
            for question in questions:
                question.put_to(run)
        if run.terminal is not None:
            self._attempts.stop_all(entry)
            self._announce_end(entry.workflow_id, run.terminal)
        if entry.later and not run.is_continuing:
            entry.mailbox[:0], entry.later = entry.later, []
        if entry.mailbox or run.is_ahead:
            if entry.stage is not Stage.READY:
                self._queue_step(entry)
        elif not run.is_open:
            self._residents.let_go(entry)
        else:
            self._residents.rests(entry, run)

    async def _step(self, batch: Sequence[Entry]) -> None:
        stepped: list[Stepped] = []
        try:
            for entry in batch:
                self._decide(entry, stepped)
            errors = await write_steps(self._writer, stepped, self._on_fenced)
        except BaseException:
            # Ctrl-C in the middle of somebody's code, or an engine that is being cancelled: the
            # runs have gone ahead of the disk, and nobody may act on that.
            for each in stepped:
                self._roll_back(each, None)
            raise
        for each in stepped:
            error = errors.get(each.entry.workflow_id)
            if error is None:
                self._commit(each, await self._check(each))
            else:
                self._roll_back(each, error)

    async def _check(self, stepped: Stepped) -> AionError | None:
        if self._replay_check is None:
            return None
        run = stepped.entry.run
        assert run is not None
        return await self._replay_check.of_step(
            stepped.entry.workflow_id, stepped.step, is_end=not run.is_open
        )

    def _decide(self, entry: Entry, stepped: list[Stepped]) -> None:
        run = entry.run
        assert run is not None
        if any(isinstance(mail.arrival, StartRequest) for mail in entry.mailbox):
            entry.mailbox[:0] = self._in_hand.take_postponed(entry.workflow_id)
        mails = entry.take_mail()
        entry.stage = Stage.WRITING
        try:
            step = run.step((mail.arrival for mail in mails), self._clock.now())
        except (Exception, SystemExit) as error:  # whatever is wrong here, the other runs go on
            self._holder.hold(entry, mails, error)
        except BaseException:
            stepped.append(Stepped(entry, mails, Step([], 0, [])))
            raise
        else:
            posts = [
                outgoing_message(entry.workflow_id, each, self._clock.now())
                for each in step.outgoing
            ]
            stepped.append(Stepped(entry, mails, step, posts, run.take_log_lines()))

    def _commit(self, stepped: Stepped, problem: AionError | None) -> None:
        """The step is durable: now it has effects.

        Args:
            problem: why the run cannot be trusted to go on.
        """
        entry, run = stepped.entry, stepped.entry.run
        assert run is not None
        entry.failures = 0
        entry.stage = Stage.IDLE
        postponed, entry.postponed = entry.postponed, []
        if stepped.step.events:
            self._observers.committed(stepped.step.events)
        for event in self._of_newest_run(entry, stepped.step.events):
            self._act_on(entry, event)
        for activity_id in postponed:
            self._attempts.consider(entry, activity_id)
        for mail, refusal in zip(stepped.mails, stepped.step.refusals, strict=True):
            self._settle(entry, mail, refusal)
        for message in stepped.posts:
            self.deliver(message)
        say(stepped.lines, entry.workflow_id)
        for name, error in run.take_dropped_signals():
            logger.warning(
                "workflow %r dropped a signal %r that fits no receiver: %s",
                entry.workflow_id,
                name,
                error,
            )
        if problem is None:
            self._go_on(entry, run)
        else:
            self._holder.hold(entry, [], problem)

    def _of_newest_run(
        self, entry: Entry, events: Sequence[e.HistoryEvent]
    ) -> Sequence[e.HistoryEvent]:
        """Leave out what a run did that was continued: its activities have the ids of the next."""
        for index in reversed(range(len(events))):
            if isinstance(events[index], e.WorkflowContinuedAsNew):
                self._attempts.stop_all(entry)
                for event in events[:index]:
                    self._tell(event)
                return events[index + 1 :]
        return events

    def _settle(self, entry: Entry, mail: Mail, refusal: Refusal) -> None:
        """What became of an arrival is durable."""
        if refusal is LATER:
            entry.later.append(mail)
            return
        if mail.message_id is not None:
            if is_undue(refusal):
                self._in_hand.postpone(entry.workflow_id, mail)
            else:
                self._in_hand.settle(mail.message_id)
        if mail.receipt is not None:
            mail.receipt.settle(refusal)

    def _act_on(self, entry: Entry, event: e.HistoryEvent) -> None:
        match event:
            case e.ActivityScheduled() | e.ActivityStarted() | e.ActivityCancelRequested():
                self._attempts.consider(entry, event.activity_id)
            case e.ActivityFailed():
                self._attempts.forget(entry, event.activity_id)
                self._attempts.consider(entry, event.activity_id)
            case e.ActivityCompleted() | e.ActivityCancelled():
                self._attempts.forget(entry, event.activity_id)
            case e.TimerStarted():
                self._arm_timer(event.fire_at)
            case _:
                self._tell(event)

    def _tell(self, event: e.HistoryEvent) -> None:
        match event:
            case e.UpdateCompleted() | e.UpdateFailed():
                self.answers.announce(event)
            case e.WorkflowFailed():
                logger.warning(
                    "workflow %r failed: %s: %s",
                    event.workflow_id,
                    event.error.type,
                    event.error.message,
                )

    def _roll_back(self, stepped: Stepped, error: StoreError | None) -> None:
        """The step did not become durable, or nobody knows: history will tell."""
        entry = stepped.entry
        entry.mailbox[:0] = stepped.mails
        entry.postponed.clear()
        if error is not None and stepped.step.events:
            entry.doubted = stepped
        self._waker.back_off(entry, error)


def _is_busy(entry: Entry) -> bool:
    if entry.stage is Stage.BACKOFF:
        return bool(entry.mailbox)  # what has arrived is worth another try
    return entry.stage in (Stage.LOADING, Stage.READY, Stage.WRITING)


def _refuse(mail: Mail, error: AionError) -> None:
    if mail.receipt is not None:
        mail.receipt.settle(error)
