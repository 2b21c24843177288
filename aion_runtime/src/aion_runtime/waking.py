"""Waking: entries that wait to be brought into memory, and what becomes of those that cannot be."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable

import trio

from aion_core.contracts import EventStore, Message, StoreWriter
from aion_core.errors import FencedError, StoreError
from aion_core.ids import WorkflowId
from aion_core.machine.run import Run
from aion_runtime.alarms import Alarms
from aion_runtime.clock import Clock
from aion_runtime.entries import Entry, Stage
from aion_runtime.holding import Holder
from aion_runtime.loading import Diverged, Held, Loaded, RunLoader, Unread
from aion_runtime.observing import Observers
from aion_runtime.recovery.eager import fail_on_violation
from aion_runtime.recovery.recorder import Recorder, WritableStore
from aion_runtime.recovery.reports import Failed, Outcome, RecoveryReport
from aion_runtime.residents import Residents
from aion_runtime.writing import Stepped

__all__ = ["LOADS_AT_ONCE", "Waker"]

logger = logging.getLogger("aion_runtime")

LOADS_AT_ONCE = 16
"""How many loops load runs, so that a short history does not wait for the end of a long one, and
that those that come together are read and go on together.
"""

LONGEST_BACKOFF = 5.0
"""Seconds between tries while the store refuses to take a run's events."""


class Waker:
    """Loads what is queued.

    Args:
        holder: takes runs that cannot go on here.
        on_fenced: called once when another writer has taken the store over.
        fails_on_violation: a run whose code does not fit its history fails, and is not held.

    Attributes:
        listed_stuck: workflows that the store lists as stuck.
        reports: what became of each workflow that was loaded; None when nobody wants to know.
    """

    def __init__(
        self,
        store: EventStore,
        writer: StoreWriter,
        loader: RunLoader,
        residents: Residents,
        holder: Holder,
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
        self._residents = residents
        self._holder = holder
        self._observers = observers
        self._clock = clock
        self._delays = delays
        self._on_fenced = on_fenced
        self._fails_on_violation = fails_on_violation
        self._queue: deque[Entry] = deque()
        self._idle = trio.lowlevel.ParkingLot()
        self._under_way = 0
        self._wakes = True
        self._expected: set[WorkflowId] = set()
        self._all_came = trio.Event()
        self.listed_stuck: set[WorkflowId] = set()
        self.reports: dict[WorkflowId, RecoveryReport] | None = None

    def connect(
        self,
        take_over: Callable[[Entry, Run], None],
        deliver: Callable[[Message], None],
        settle: Callable[[str], None],
    ) -> None:
        """Say who goes on with an entry that is in memory. Called once, before `run`.

        Args:
            deliver: takes messages, of which it may have taken some before.
            settle: told which of those were consumed.
        """
        self._take_over = take_over
        self._deliver = deliver
        self._settle = settle

    def queue(self, entry: Entry) -> None:
        """Have an entry loaded, unless the engine stops and nothing would be lost."""
        if not self._wakes and not entry.would_lose_mail():
            entry.stage = Stage.COLD
            self._residents.rested()
            return
        entry.stage = Stage.LOADING
        self._queue.append(entry)
        self._idle.unpark()

    def stop(self) -> None:
        """The engine stops: only those are loaded from now on whose mail would be lost."""
        self._wakes = False
        asleep, self._queue = self._queue, deque()
        for entry in asleep:
            self.queue(entry)

    def expect(self, workflow_ids: Iterable[WorkflowId]) -> None:
        """Say which workflows `loaded` waits for, before the first of them is queued."""
        self._expected = set(workflow_ids)

    async def loaded(self) -> None:
        """Return when each of those has been loaded once, or has turned out not to be readable.

        Whatever else is to be loaded is not waited for: those that came first go on meanwhile, and
        may be evicted and loaded again without end.
        """
        while self._expected:
            self._all_came = trio.Event()
            await self._all_came.wait()

    async def run(self) -> None:
        """Load one entry after the other, for ever; several loops may do so at once."""
        while True:
            while self._queue:
                self._under_way += 1
                await self._load(self._queue.popleft())
                self._under_way -= 1
            if not self._under_way:
                self._residents.rested()
            await self._idle.park()

    def back_off(self, entry: Entry, error: StoreError | None) -> None:
        """What the run decided is not in the store, or cannot be read: try again after a while."""
        self._residents.throw_away(entry)
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
        self._delays.set(self._delays.now() + delay, lambda: self.queue(entry))

    async def _load(self, entry: Entry) -> None:
        loading = await self._loader.load(entry.workflow_id)
        match loading:
            case Loaded():
                await self._take_in(entry, loading)
            case Unread(error):
                # Read in the next try while the engine opens, its report is another one.
                self._report(entry, Failed(error))
                self.back_off(entry, error)
            case Held(error):
                self._report(entry, Failed(error))
                self._holder.hold(entry, [], error)
            case Diverged(error) if not self._fails_on_violation:
                self._report(entry, Failed(error))
                self._holder.hold(entry, [], error)
            case Diverged():
                await self._fail(entry, loading)
        self._expected.discard(entry.workflow_id)
        if not self._expected:
            self._all_came.set()

    async def _take_in(self, entry: Entry, loaded: Loaded) -> None:
        entry.run = loaded.run
        try:
            if entry.workflow_id in self.listed_stuck:
                await self._writer.put_stuck(entry.workflow_id, None)
                self.listed_stuck.discard(entry.workflow_id)
            if entry.failures:
                await self._compare_messages(entry)
            if entry.doubted is not None:
                await self._look_for(entry, entry.doubted)
        except FencedError as error:
            self._on_fenced(error)
            self.back_off(entry, error)
        except StoreError as error:
            self.back_off(entry, error)
        else:
            if loaded.outcome is not None:
                self._report(entry, loaded.outcome)
            self._take_over(entry, loaded.run)

    async def _compare_messages(self, entry: Entry) -> None:
        """The append that failed may have consumed messages after all, and posted others."""
        gone = {mail.message_id for mail in entry.mailbox if mail.message_id is not None}
        async for stored in self._store.all_messages():
            message = stored.message
            gone.discard(message.message_id)
            if message.source is not None and message.source.workflow_id == entry.workflow_id:
                self._deliver(message)
        entry.mailbox = [mail for mail in entry.mailbox if mail.message_id not in gone]
        for message_id in gone:
            self._settle(message_id)

    async def _look_for(self, entry: Entry, doubted: Stepped) -> None:
        """Of the append that failed only the answer may have been lost."""
        events = doubted.step.events
        found = await self._store.read_history_from(entry.workflow_id, events[0].seq, len(events))
        if list(found) != events:
            entry.doubted = None

    async def _fail(self, entry: Entry, diverged: Diverged) -> None:
        """The opt-in: the run ends by the divergence, and is loaded again as a closed one."""
        access = WritableStore(self._store, self._writer)
        recorder = Recorder(access, entry.workflow_id, diverged.head, clock=self._clock)
        try:
            failed = await fail_on_violation(recorder, diverged.failure_recorded_at, diverged.error)
        except FencedError as error:
            self._on_fenced(error)
            self.back_off(entry, error)
        except StoreError as error:
            # Loaded again it diverges again: so this is tried until it can be recorded.
            self.back_off(entry, error)
        else:
            self._report(entry, Failed(diverged.error, failure_recorded=True))
            self._observers.committed([failed])
            # Loaded again it hands on what the failure has posted.
            entry.failures += 1
            self.queue(entry)

    def _report(self, entry: Entry, outcome: Outcome) -> None:
        if self.reports is not None:
            self.reports[entry.workflow_id] = RecoveryReport(entry.workflow_id, outcome)
