"""The keeper: writes down what concerns runs that are stuck, so that the next engine finds it.

Why they cannot go on is a row; what arrives meanwhile are messages, which become events when the
run can be activated again. No event is recorded here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import trio

from aion_core.contracts import Append, EventStore, Message, StoreWriter
from aion_core.errors import (
    AionError,
    CorruptHistoryError,
    EngineStoppedError,
    FencedError,
    StoreError,
    StoreUnavailableError,
    WorkflowClosedError,
    WorkflowNotFoundError,
    WorkflowStuckError,
)
from aion_core.events import WorkflowStarted
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import ActivityOutcome, SignalSentToRun, StartRequest
from aion_core.machine.judging import judge_start
from aion_core.payloads import Payload
from aion_runtime.clock import Clock
from aion_runtime.entries import Mail, Receipt
from aion_runtime.letters import outcome_message, signal_message

__all__ = ["Keeper"]

logger = logging.getLogger("aion_runtime")

LONGEST_PAUSE_S = 5.0

TRIES = 10
"""How often something is written that the store answers with an error it may well repeat."""


@attrs.frozen
class _Job:
    """Something to be written.

    Attributes:
        write: may be done twice: what it does the second time changes nothing. Returns what the
            sender is to be told.
        receipt: settled when it is durable.
    """

    what: str
    write: Callable[[], Awaitable[AionError | None]]
    receipt: Receipt | None = None


class Keeper:
    """Writes one thing after the other, in the order in which they came.

    Args:
        is_same: whether two inputs of a workflow are the same.
        on_fenced: called when another writer has taken the store over.
    """

    def __init__(
        self,
        store: EventStore,
        writer: StoreWriter,
        clock: Clock,
        is_same: Callable[[Payload, Payload], bool],
        on_fenced: Callable[[FencedError], None],
    ) -> None:
        self._store = store
        self._writer = writer
        self._clock = clock
        self._is_same = is_same
        self._on_fenced = on_fenced
        self._jobs: deque[_Job] = deque()
        self._has_more = trio.Event()
        self._idle = trio.Event()

    def mark(self, workflow_id: WorkflowId, reason: str) -> None:
        """Have every process see why the run cannot go on."""
        write = partial(self._writer.put_stuck, workflow_id, reason)
        self._add(_Job(f"that workflow {workflow_id!r} is stuck", write))

    def keep(self, workflow_id: WorkflowId, mail: Mail, reason: str) -> None:
        """Keep an arrival for later, or tell its sender what is known already.

        Args:
            reason: why the run cannot go on.
        """
        arrival = mail.arrival
        if mail.message_id is not None:
            return  # it is in the store already
        match arrival:
            case ActivityOutcome():
                what = f"the outcome of {arrival.activity_id} of workflow {workflow_id!r}"
                message = outcome_message(workflow_id, arrival, self._clock.now())
                self._add(_Job(what, partial(self._append, message), mail.receipt))
            case SignalSentToRun():
                what = f"signal {arrival.name!r} to workflow {workflow_id!r}"
                message = signal_message(workflow_id, arrival, self._clock.now())
                self._add(_Job(what, partial(self._append, message), mail.receipt))
            case StartRequest():
                what = f"a start of workflow {workflow_id!r}"
                judge = partial(self._judge, workflow_id, arrival, reason)
                self._add(_Job(what, judge, mail.receipt))
            case _:
                # Asked for again when the run goes on; nobody waits for it.
                assert mail.receipt is None

    async def settled(self) -> None:
        """Return when nothing is left to be written."""
        while self._jobs:
            self._idle = trio.Event()
            await self._idle.wait()

    def abandon(self, error: EngineStoppedError) -> None:
        """The engine has ended: tell everybody who waits."""
        while self._jobs:
            receipt = self._jobs.popleft().receipt
            if receipt is not None:
                receipt.settle(error)

    async def run(self) -> None:
        """Write, for ever."""
        while True:
            while self._jobs:
                # Taken off when it is done: whoever waits for us to settle waits for it, too.
                await self._do(self._jobs[0])
                self._jobs.popleft()
            self._idle.set()
            self._has_more = trio.Event()
            await self._has_more.wait()

    def _add(self, job: _Job) -> None:
        self._jobs.append(job)
        self._has_more.set()

    async def _do(self, job: _Job) -> None:
        tries = 0
        while True:
            tries += 1
            try:
                refusal = await job.write()
            except FencedError as error:
                self._on_fenced(error)
                self._settle(job, error)
                return
            except StoreError as error:
                if tries >= TRIES and not isinstance(error, StoreUnavailableError):
                    logger.error("%s cannot be kept: %s", job.what, error)
                    self._settle(job, error)
                    return
                pause = min(0.05 * 2 ** min(tries - 1, 16), LONGEST_PAUSE_S)
                logger.warning("%s is not kept yet, next try in %.2f s: %s", job.what, pause, error)
                await self._clock.sleep_until_monotonic(self._clock.monotonic() + pause)
            else:
                self._settle(job, refusal)
                return

    async def _append(self, message: Message) -> AionError | None:
        """Post by an append without events, which only the writer of this epoch can.

        By `EventStore.post` an engine that was taken over would go on telling senders that their
        signals are safe, while the engine that has the run now does not see them.
        """
        summary = await self._store.read_summary(message.target)
        if summary is None:
            return WorkflowNotFoundError(message.target)
        if summary.status.is_closed:
            return WorkflowClosedError(message.target, summary.status.value)
        append = Append(message.target, (), summary.events, post=[message])
        (refusal,) = await self._writer.append_many([append])
        if refusal is not None:
            raise refusal
        return None

    async def _judge(
        self, workflow_id: WorkflowId, request: StartRequest, reason: str
    ) -> AionError | None:
        """A start is judged as that of any run: asked for again, it is taken as made."""
        try:
            history = await self._store.read_history(workflow_id)
        except CorruptHistoryError:
            return WorkflowStuckError(workflow_id, reason)
        for event in reversed(history):
            if isinstance(event, WorkflowStarted):
                return judge_start(event, request, self._is_same)
        return WorkflowStuckError(workflow_id, reason)

    def _settle(self, job: _Job, error: AionError | None) -> None:
        if job.receipt is not None:
            job.receipt.settle(error)
