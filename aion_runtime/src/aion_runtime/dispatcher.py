"""The dispatcher: takes arrivals to their runs, and is the only writer of every live run.

One loop: take the runs that have arrivals, step each (no I/O), append all steps in one
transaction, and only then act on them. While one batch is being written the next gathers.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import trio

from aion_core import events as e
from aion_core.contracts import EventStore, Message, StoreWriter
from aion_core.errors import (
    AionError,
    CorruptHistoryError,
    EngineStoppedError,
    FencedError,
    StoreError,
    WorkflowStuckError,
)
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import ActivityOutcome, Arrival, Redelivery
from aion_core.machine.run import Run, Step
from aion_runtime.alarms import Alarms
from aion_runtime.attempts import AttemptManager
from aion_runtime.clock import Clock
from aion_runtime.closings import Closings
from aion_runtime.entries import Entry, Mail, Receipt, Stage
from aion_runtime.keeping import Keeper
from aion_runtime.letters import arrival_in, pending_messages
from aion_runtime.loading import Diverged, Held, Loaded, RunLoader, Unread
from aion_runtime.observing import Observers
from aion_runtime.recovery.eager import fail_on_violation
from aion_runtime.recovery.recorder import Recorder, WritableStore
from aion_runtime.recovery.reports import Failed, Outcome, RecoveryReport
from aion_runtime.writing import Stepped, write_steps

__all__ = ["Dispatcher"]

logger = logging.getLogger("aion_runtime")

LONGEST_BACKOFF = 5.0
"""Seconds between tries while the store refuses to take a run's events."""


class Dispatcher:
    """Entries, their mailboxes, and the loops that load, step and write them.

    Args:
        keeper: writes what concerns runs that are stuck.
        on_fenced: called once when another writer has taken the store over.
        fails_on_violation: a run whose code does not fit its history fails, and is not held.

    Attributes:
        stuck: why a workflow cannot go on in this engine.
        listed_stuck: workflows that the store lists as stuck.
        reports: what became of each workflow that was loaded; None when nobody wants to know.
        closings: who waits for the end of which workflow.
    """

    def __init__(
        self,
        store: EventStore,
        writer: StoreWriter,
        loader: RunLoader,
        keeper: Keeper,
        observers: Observers,
        clock: Clock,
        delays: Alarms[float],
        on_fenced: Callable[[FencedError], None],
        *,
        fails_on_violation: bool,
    ) -> None:
        self._store = store
        self._writer = writer
        self._loader = loader
        self._keeper = keeper
        self._observers = observers
        self._clock = clock
        self._delays = delays
        self._on_fenced = on_fenced
        self._fails_on_violation = fails_on_violation
        self._entries: dict[WorkflowId, Entry] = {}
        self._ready: deque[Entry] = deque()
        self._to_load: deque[Entry] = deque()
        self._has_ready = trio.Event()
        self._has_to_load = trio.Event()
        self._rest = trio.Event()
        self._wakes = True
        self._over: EngineStoppedError | None = None
        self.stuck: dict[WorkflowId, str] = {}
        self.listed_stuck: set[WorkflowId] = set()
        self.reports: dict[WorkflowId, RecoveryReport] | None = None
        self.closings = Closings()

    def connect(self, attempts: AttemptManager, arm_timer: Callable[[datetime], None]) -> None:
        """Say who acts on what has been recorded. Called once, before the loops run."""
        self._attempts = attempts
        self._arm_timer = arm_timer

    def post(
        self, workflow_id: WorkflowId, arrival: Arrival, receipt: Receipt | None = None
    ) -> None:
        """Hand an arrival over; it is taken in one of the next steps of its workflow."""
        self._post(workflow_id, Mail(arrival, receipt))

    def deliver(self, message: Message) -> None:
        """Hand over what a message brings; the message is consumed with it."""
        try:
            arrival = arrival_in(message)
        except CorruptHistoryError as error:
            logger.error("a message is left where it is: %s", error)
            return
        if arrival is not None:
            self._post(message.target, Mail(arrival, message_id=message.message_id))

    def _post(self, workflow_id: WorkflowId, mail: Mail) -> None:
        if self._over is not None:
            _refuse(mail, self._over)
            return
        entry = self._entries.get(workflow_id)
        if entry is None:
            entry = self._entries[workflow_id] = Entry(workflow_id)
        if entry.stage is Stage.STUCK:
            self._post_to_stuck(entry, mail)
            return
        entry.mailbox.append(mail)
        if entry.stage is Stage.COLD:
            self._queue_load(entry)
        elif entry.stage is Stage.IDLE:
            self._queue_step(entry)

    def wake(self, workflow_id: WorkflowId) -> None:
        """Bring a workflow into memory, if it is not there, and do what its activities need."""
        entry = self._entries.setdefault(workflow_id, Entry(workflow_id))
        if entry.stage is Stage.COLD:
            self._queue_load(entry)

    def stop_waking(self) -> None:
        """The engine stops: only those are loaded from now on whose mail would be lost."""
        self._wakes = False
        asleep, self._to_load = self._to_load, deque()
        for entry in asleep:
            self._queue_load(entry)

    async def loaded(self) -> None:
        """Return when nothing waits to be loaded any more."""
        await self._until_none(lambda entry: entry.stage is Stage.LOADING)

    async def settled(self) -> None:
        """Return when nothing waits to be loaded, stepped or written any more."""
        await self._until_none(_is_busy)
        await self._keeper.settled()

    def abandon(self) -> None:
        """The loops have ended: tell everybody who waits, and throw the code away."""
        self._over = error = EngineStoppedError(
            "the engine has stopped; what was recorded goes on when the store is opened again"
        )
        for entry in self._entries.values():
            for mail in entry.mailbox:
                _refuse(mail, error)
            if entry.run is not None:
                entry.run.close()
        self._entries.clear()
        self._keeper.abandon(error)
        self.closings.end(error)

    async def run_loads(self) -> None:
        """Load runs, one after the other, for ever."""
        while True:
            while self._to_load:
                await self._load(self._to_load.popleft())
            self._rest.set()
            self._has_to_load = trio.Event()
            await self._has_to_load.wait()

    async def run_steps(self) -> None:
        """Step and write, for ever."""
        while True:
            while self._ready:
                batch = tuple(self._ready)
                self._ready.clear()
                await self._step(batch)
            self._rest.set()
            self._has_ready = trio.Event()
            await self._has_ready.wait()

    async def _until_none(self, is_awaited: Callable[[Entry], bool]) -> None:
        while any(is_awaited(entry) for entry in self._entries.values()):
            self._rest = trio.Event()
            await self._rest.wait()

    def _queue_load(self, entry: Entry) -> None:
        if not self._wakes and not entry.would_lose_mail():
            entry.stage = Stage.COLD
            self._rest.set()
            return
        entry.stage = Stage.LOADING
        self._to_load.append(entry)
        self._has_to_load.set()

    def _queue_step(self, entry: Entry) -> None:
        entry.stage = Stage.READY
        self._ready.append(entry)
        self._has_ready.set()

    async def _load(self, entry: Entry) -> None:
        loading = await self._loader.load(entry.workflow_id)
        match loading:
            case Loaded():
                await self._take_in(entry, loading)
            case Unread(error):
                # Read in the next try while the engine opens, its report is another one.
                self._report(entry, Failed(error))
                self._back_off(entry, error)
            case Held(error):
                self._report(entry, Failed(error))
                self._hold(entry, [], error)
            case Diverged(error) if not self._fails_on_violation:
                self._report(entry, Failed(error))
                self._hold(entry, [], error)
            case Diverged():
                await self._fail(entry, loading)

    async def _take_in(self, entry: Entry, loaded: Loaded) -> None:
        entry.run = loaded.run
        try:
            if entry.workflow_id in self.listed_stuck:
                await self._writer.put_stuck(entry.workflow_id, None)
                self.listed_stuck.discard(entry.workflow_id)
            if entry.failures and any(mail.message_id is not None for mail in entry.mailbox):
                # The append that failed may have consumed them after all.
                pending = await pending_messages(self._store, entry.workflow_id)
                entry.mailbox = [
                    mail
                    for mail in entry.mailbox
                    if mail.message_id is None or mail.message_id in pending
                ]
        except FencedError as error:
            self._on_fenced(error)
            self._back_off(entry, error)
        except StoreError as error:
            self._back_off(entry, error)
        else:
            if loaded.outcome is not None:
                self._report(entry, loaded.outcome)
            self._loaded(entry, loaded.run)

    async def _fail(self, entry: Entry, diverged: Diverged) -> None:
        """The opt-in: the run ends by the divergence, and is loaded again as a closed one."""
        access = WritableStore(self._store, self._writer)
        recorder = Recorder(access, entry.workflow_id, diverged.head, clock=self._clock)
        try:
            failed = await fail_on_violation(recorder, diverged.failure_recorded_at, diverged.error)
        except FencedError as error:
            self._on_fenced(error)
            self._back_off(entry, error)
        except StoreError as error:
            # Loaded again it diverges again: so this is tried until it can be recorded.
            self._back_off(entry, error)
        else:
            self._report(entry, Failed(diverged.error, failure_recorded=True))
            self._observers.committed([failed])
            self._queue_load(entry)

    def _report(self, entry: Entry, outcome: Outcome) -> None:
        if self.reports is not None:
            self.reports[entry.workflow_id] = RecoveryReport(entry.workflow_id, outcome)

    def _loaded(self, entry: Entry, run: Run) -> None:
        entry.stage = Stage.IDLE
        # Asked for again below, unless it was recorded and only the answer lost.
        entry.mailbox = [mail for mail in entry.mailbox if not isinstance(mail.arrival, Redelivery)]
        self._attempts.resume(entry)
        for timer in run.projection.timers.values():
            self._arm_timer(timer.fire_at)
        self._go_on(entry, run)

    def _go_on(self, entry: Entry, run: Run) -> None:
        """After a load or a step: queue the entry again, leave it in memory, or let it go."""
        if run.terminal is not None:
            self._attempts.stop_all(entry)
            self.closings.announce(entry.workflow_id, run.terminal)
        if entry.mailbox or run.is_ahead:
            if entry.stage is not Stage.READY:
                self._queue_step(entry)
        elif not run.is_open:
            run.close()
            self._entries.pop(entry.workflow_id, None)

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
                self._commit(each)
            else:
                self._roll_back(each, error)

    def _decide(self, entry: Entry, stepped: list[Stepped]) -> None:
        run = entry.run
        assert run is not None
        mails = entry.take_mail()
        entry.stage = Stage.WRITING
        try:
            step = run.step((mail.arrival for mail in mails), self._clock.now())
        except (Exception, SystemExit) as error:  # whatever is wrong here, the other runs go on
            self._hold(entry, mails, error)
        except BaseException:
            stepped.append(Stepped(entry, mails, Step([], 0, [])))
            raise
        else:
            stepped.append(Stepped(entry, mails, step))

    def _commit(self, stepped: Stepped) -> None:
        """The step is durable: now it has effects."""
        entry, run = stepped.entry, stepped.entry.run
        assert run is not None
        entry.failures = 0
        entry.stage = Stage.IDLE
        postponed, entry.postponed = entry.postponed, []
        if stepped.step.events:
            self._observers.committed(stepped.step.events)
        for event in stepped.step.events:
            self._act_on(entry, event)
        for activity_id in postponed:
            self._attempts.consider(entry, activity_id)
        for mail, refusal in zip(stepped.mails, stepped.step.refusals, strict=True):
            if mail.receipt is not None:
                mail.receipt.settle(refusal)
        for name, error in run.take_dropped_signals():
            logger.warning(
                "workflow %r dropped a signal %r that fits no receiver: %s",
                entry.workflow_id,
                name,
                error,
            )
        self._go_on(entry, run)

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
            case e.WorkflowFailed():
                logger.warning(
                    "workflow %r failed: %s: %s",
                    entry.workflow_id,
                    event.error.type,
                    event.error.message,
                )

    def _roll_back(self, stepped: Stepped, error: StoreError | None) -> None:
        """The step did not become durable, or nobody knows: history will tell."""
        entry = stepped.entry
        entry.mailbox[:0] = stepped.mails
        entry.postponed.clear()
        self._back_off(entry, error)

    def _back_off(self, entry: Entry, error: StoreError | None) -> None:
        if entry.run is not None:
            entry.run.close()
            entry.run = None
        entry.stage = Stage.BACKOFF
        entry.failures += 1
        delay = min(0.05 * 2 ** min(entry.failures - 1, 16), LONGEST_BACKOFF)
        if error is not None:
            logger.warning(
                "workflow %r could not be stored or read, next try in %.2f s: %s",
                entry.workflow_id,
                delay,
                error,
            )
        self._delays.set(self._delays.now() + delay, lambda: self._queue_load(entry))

    def _hold(self, entry: Entry, mails: Iterable[Mail], error: Exception | SystemExit) -> None:
        """The run cannot go on here. Nothing is recorded, so fitting code finds it as it was."""
        is_ours = isinstance(error, AionError)
        reason = str(error) if is_ours else f"{type(error).__name__}: {error}"
        logger.error(
            "workflow %r is stuck: %s",
            entry.workflow_id,
            reason,
            exc_info=None if is_ours else error,
        )
        if entry.run is not None:
            entry.run.close()
            entry.run = None
        entry.stage = Stage.STUCK
        self._attempts.dismiss_suspects(entry)
        self.stuck[entry.workflow_id] = reason
        self._keeper.mark(entry.workflow_id, reason)
        self._observers.stuck(entry.workflow_id, reason)
        waiting, entry.mailbox = [*mails, *entry.mailbox], []
        for mail in waiting:
            self._post_to_stuck(entry, mail)
        self.closings.fail(entry.workflow_id, WorkflowStuckError(entry.workflow_id, reason))

    def _post_to_stuck(self, entry: Entry, mail: Mail) -> None:
        if isinstance(mail.arrival, ActivityOutcome):
            entry.running.pop(mail.arrival.activity_id, None)
        self._keeper.keep(entry.workflow_id, mail, self.stuck[entry.workflow_id])


def _is_busy(entry: Entry) -> bool:
    if entry.stage is Stage.BACKOFF:
        return bool(entry.mailbox)  # what has arrived is worth another try
    return entry.stage in (Stage.LOADING, Stage.READY, Stage.WRITING)


def _refuse(mail: Mail, error: AionError) -> None:
    if mail.receipt is not None:
        mail.receipt.settle(error)
