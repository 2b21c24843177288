"""The dispatcher: takes arrivals to their runs, and is the only writer of every live run.

One loop: take the runs that have arrivals, step each (no I/O), append all steps in one
transaction, and only then act on them. While one batch is being written the next gathers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import attrs
import trio

from aion_core.contracts import Message, StoreWriter
from aion_core.errors import (
    ActivityNotHeldError,
    AionError,
    CorruptHistoryError,
    EngineStoppedError,
    FencedError,
    StoreError,
    WorkflowClosedError,
    WorkflowStuckError,
)
from aion_core.events import HistoryEvent
from aion_core.ids import START_TIMER, ActivityId, WorkflowId
from aion_core.machine.arrivals import (
    Arrival,
    AttemptStart,
    Redelivery,
    RetryRequest,
    StartRequest,
    TimerDue,
)
from aion_core.machine.run import Run, Step
from aion_core.making import maker
from aion_core.payloads import Payload
from aion_runtime.admission import Admission
from aion_runtime.answers import Answers
from aion_runtime.asking import Question
from aion_runtime.attempts import AttemptManager
from aion_runtime.clock import Clock
from aion_runtime.closings import Closings
from aion_runtime.custody import Custody
from aion_runtime.effects import Effects
from aion_runtime.entries import Entry, Mail, Receipt, Stage
from aion_runtime.holding import Holder
from aion_runtime.in_hand import InHand
from aion_runtime.letters import (
    arrival_in,
    is_kept_signal,
    outgoing_message,
    report_unreadable,
)
from aion_runtime.observing import Observers
from aion_runtime.replay_check import ReplayCheck
from aion_runtime.residents import Residents
from aion_runtime.timers import due_of
from aion_runtime.waking import Waker
from aion_runtime.writing import Stepped, answers_to, write_steps

__all__ = ["Dispatcher"]

_mail = maker(Mail)


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
        custody: what is kept for runs that are stuck.
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
        admission: Admission,
    ) -> None:
        self._writer = writer
        self._admission = admission
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
        self.custody = Custody(
            self._in_hand,
            residents,
            waker,
            holder,
            observers,
            self.deliver,
            self._post,
            self._announce_end,
        )

    def connect(self, attempts: AttemptManager, arm_timer: Callable[[datetime], None]) -> None:
        """Say who acts on what has been recorded. Called once, before the loops run."""
        self._attempts = attempts
        self._arm_timer = arm_timer
        self._effects = Effects(
            self._admission,
            self._in_hand,
            self.closings,
            self.answers,
            self._observers,
            self.deliver,
            attempts,
            arm_timer,
        )
        self._holder.connect(attempts, self._admission.held)
        self._admission.connect(self.fire)
        self._waker.connect(self._take_over, self.deliver, self._in_hand.settle)

    @property
    def stuck(self) -> Mapping[WorkflowId, str]:
        """Why a workflow cannot go on in this engine."""
        return self._holder.reasons

    def post(
        self, workflow_id: WorkflowId, arrival: Arrival, receipt: Receipt | None = None
    ) -> None:
        """Hand an arrival over; it is taken in one of the next steps of its workflow."""
        self._post(workflow_id, _mail(arrival, receipt))

    def deliver(self, message: Message, arrival: Arrival | None = None) -> None:
        """Hand over what a message brings, once; the message is consumed with it.

        Args:
            arrival: what it brings, if that has been looked at already.
        """
        if not self._in_hand.take(message.message_id):
            return
        try:
            arrival = arrival or arrival_in(message)
        except CorruptHistoryError as error:
            report_unreadable(message, error)
            return
        is_asked = message.source is None and not is_kept_signal(message, arrival)
        self._post(message.target, Mail(arrival, None, message.message_id, is_asked))

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
            if isinstance(mail.arrival, RetryRequest):
                self._holder.try_again(entry, mail)
            else:
                self._holder.take(entry, mail)
            return
        entry.mailbox.append(mail)
        if entry.stage is Stage.COLD:
            self._waker.queue(entry)
        elif entry.stage is Stage.IDLE:
            self._queue_step(entry)

    def fire(self, workflow_id: WorkflowId, due: TimerDue) -> bool:
        """Hand over that a timer is due, once; False if the run cannot take it, or is a start
        whose turn has not come.

        As long as that is not recorded the store names the timer whenever it is asked, and of
        thousands that are due together a few are recorded between one question and the next.
        """
        if due.timer_id == START_TIMER and not self._admission.may_fire(workflow_id, due):
            return False
        entry = self._residents.entry_of(workflow_id)
        if entry.stage is Stage.STUCK:
            return False
        if due.started_seq not in entry.due_timers:
            entry.due_timers[due.started_seq] = None
            self.post(workflow_id, due)
        return True

    def wake(self, workflow_id: WorkflowId) -> None:
        """Bring a workflow into memory, if it is not there, and do what its activities need."""
        entry = self._residents.entry_of(workflow_id)
        if entry.stage is Stage.COLD:
            self._waker.queue(entry)

    def begun(self, workflow_id: WorkflowId) -> list[ActivityId]:
        """The activities of a workflow whose attempt has begun and has no recorded outcome."""
        return list(self._residents.entry_of(workflow_id).running)

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
        entry.mailbox = [
            mail
            for mail in entry.mailbox
            if not isinstance(mail.arrival, Redelivery | AttemptStart)
        ]
        stepped, entry.doubted = entry.doubted, None
        if stepped is not None:
            taken = {id(mail) for mail in stepped.mails}
            entry.mailbox = [mail for mail in entry.mailbox if id(mail) not in taken]
            self._effects.adopt(stepped)
        self._admission.found(entry.workflow_id, run)
        self._attempts.resume(entry)
        now = self._clock.now()
        for timer in run.projection.timers.values():
            if timer.fire_at > now:
                self._arm_timer(timer.fire_at)
            else:
                self.fire(entry.workflow_id, due_of(timer))
        self._go_on(entry, run)

    def _announce_end(self, workflow_id: WorkflowId, terminal: HistoryEvent) -> None:
        self._effects.announce_end(workflow_id, terminal)

    def _go_on(self, entry: Entry, run: Run) -> None:
        """After a load or a step: queue the entry again, leave it in memory, or let it go."""
        if not run.is_ahead:
            questions, entry.questions = entry.questions, []
            for question in questions:
                question.put_to(run)
        if run.terminal is not None:
            self._attempts.stop_all(entry)
            self._announce_end(entry.workflow_id, run.terminal)
        if entry.later and not run.puts_off:
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
        if run.projection.summary is None:
            self._prepare_start(entry)
        mails = entry.take_mail()
        now = self._clock.now()
        entry.stage = Stage.WRITING
        try:
            step = run.step([mail.arrival for mail in mails], now)
        except (Exception, SystemExit) as error:  # whatever is wrong here, the other runs go on
            self._holder.hold(entry, mails, error)
        except BaseException:
            stepped.append(Stepped(entry, mails, Step([], 0, [])))
            raise
        else:
            for index, mail in enumerate(mails):
                # Tried again, the run may have nothing more to be retried, or have ended.
                if mail.frees and isinstance(
                    step.refusals[index], ActivityNotHeldError | WorkflowClosedError
                ):
                    step.refusals[index] = None
            stepped.append(
                Stepped(
                    entry,
                    mails,
                    step,
                    [outgoing_message(entry.workflow_id, each, now) for each in step.outgoing],
                    answers_to(entry.workflow_id, run, mails, step, now),
                    run.take_log_lines(),
                )
            )

    def _prepare_start(self, entry: Entry) -> None:
        """The workflow does not exist yet: what it has waited with, and whether it has to wait."""
        if any(isinstance(mail.arrival, StartRequest) for mail in entry.mailbox):
            entry.mailbox[:0] = self._in_hand.take_postponed(entry.workflow_id)
        if self._admission.is_on:
            entry.mailbox = [self._admitted(entry.workflow_id, mail) for mail in entry.mailbox]

    def _admitted(self, workflow_id: WorkflowId, mail: Mail) -> Mail:
        """A start that finds no room waits, and is recorded so."""
        if not isinstance(mail.arrival, StartRequest):
            return mail
        request = self._admission.admit(workflow_id, mail.arrival)
        return mail if request is mail.arrival else attrs.evolve(mail, arrival=request)

    def _commit(self, stepped: Stepped, problem: AionError | None) -> None:
        """The step is durable: now it has effects.

        Args:
            problem: why the run cannot be trusted to go on.
        """
        entry, run = stepped.entry, stepped.entry.run
        assert run is not None
        entry.failures = 0
        entry.stage = Stage.IDLE
        self._effects.of(stepped)
        if problem is None:
            self._go_on(entry, run)
        else:
            self._holder.hold(entry, [], problem)

    def _roll_back(self, stepped: Stepped, error: StoreError | None) -> None:
        """The step did not become durable, or nobody knows: history will tell."""
        entry = stepped.entry
        entry.mailbox[:0] = stepped.mails
        entry.postponed.clear()
        if error is not None and stepped.step.events:
            entry.doubted = stepped
        self._waker.back_off(entry, error)


def _is_busy(entry: Entry) -> bool:
    if entry.stage in (Stage.LOADING, Stage.BACKOFF):
        return entry.would_lose_mail()  # that is worth another try; what is not lost can wait
    return entry.stage in (Stage.READY, Stage.WRITING)


def _refuse(mail: Mail, error: AionError) -> None:
    if mail.receipt is not None:
        mail.receipt.settle(error)
