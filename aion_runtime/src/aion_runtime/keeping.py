"""The keeper: writes down what concerns runs that are stuck, so that the next engine finds it.

Why they cannot go on is a row; what arrives meanwhile are messages, which become events when the
run can be activated again. The one event recorded here is the end of such a run from outside.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import attrs
import trio

from aion_core.contracts import Append, EventStore, Message, StoreWriter
from aion_core.errors import (
    AionError,
    CorruptHistoryError,
    EngineStoppedError,
    FencedError,
    HistoryShapeError,
    StoreError,
    StoreUnavailableError,
    WorkflowClosedError,
    WorkflowNotFoundError,
    WorkflowStuckError,
)
from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import (
    ActivityOutcome,
    CancelRequest,
    RetryRequest,
    SignalSentToRun,
    StartRequest,
    SupplyRequest,
    TerminateRequest,
    UpdateSentToRun,
)
from aion_core.machine.facts import RunFacts
from aion_core.machine.judging import Judge, judge_start
from aion_core.machine.outgoing import outgoing_of
from aion_core.machine.reading import RunReading
from aion_core.payloads import Payload
from aion_runtime.clock import Clock
from aion_runtime.entries import Mail, Receipt
from aion_runtime.letters import outcome_message, outgoing_message, signal_message
from aion_runtime.replies import reply
from aion_runtime.replying import write_answers
from aion_runtime.writing import replies_to_unanswered

__all__ = ["EndedOutside", "Keeper"]

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
        hands_on: that is done by others, to whom the mail is handed on.
    """

    what: str
    write: Callable[[], Awaitable[AionError | None]]
    receipt: Receipt | None = None
    hands_on: bool = False


@attrs.frozen(kw_only=True)
class EndedOutside:
    """The end of a stuck run, without its code.

    Attributes:
        terminal: the event that ended it.
        posts: what it had for other runs.
        consumed: the message that asked for it; None when no message did.
        waiting: what has been sent to it, and is now sent to a run that has ended.
    """

    terminal: HistoryEvent
    posts: Sequence[Message]
    consumed: str | None
    waiting: Sequence[Message]


@attrs.define(eq=False)
class _Termination:
    """The end of a stuck run, tried until it is recorded.

    Attributes:
        event: by which it was tried; when the answer is lost, history says whether it is there.
    """

    workflow_id: WorkflowId
    request: TerminateRequest
    message_id: str | None
    is_asked: bool
    event: HistoryEvent | None = None


class Keeper:
    """Writes one thing after the other, in the order in which they came.

    Args:
        is_same: whether two inputs of a workflow are the same.
        on_fenced: called when another writer has taken the store over.

    Attributes:
        pauses_until: by the steady clock, when it tries again what the store did not take.
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
        self.pauses_until: float | None = None

    def connect(
        self,
        on_ended: Callable[[EndedOutside], None],
        on_freed: Callable[[WorkflowId, Mail, Sequence[Message]], None],
        on_keeping: Callable[[Message], None],
        on_kept: Callable[[Message], None],
        on_consumed: Callable[[str], None],
    ) -> None:
        """Say who is told of what has been written.

        Args:
            on_ended: of a stuck run that was ended from outside.
            on_freed: of one that is to be tried again, by which mail, and what waits for it.
            on_keeping: of a message to a stuck run that is about to be written.
            on_kept: of one that has been.
            on_consumed: of a message from outside that was answered, and is gone.
        """
        self._on_ended = on_ended
        self._on_freed = on_freed
        self._on_keeping = on_keeping
        self._on_kept = on_kept
        self._on_consumed = on_consumed

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
        if isinstance(arrival, TerminateRequest):
            what = f"the end of workflow {workflow_id!r}"
            end = _Termination(workflow_id, arrival, mail.message_id, mail.is_asked)
            self._add_for(mail, workflow_id, what, partial(self._terminate, end, reason))
            return
        if mail.message_id is not None and not mail.is_asked:
            return  # it is in the store already
        match arrival:
            case ActivityOutcome():
                what = f"the outcome of {arrival.activity_id} of workflow {workflow_id!r}"
                message = outcome_message(workflow_id, arrival, self._clock.now())
                self._add(_Job(what, partial(self._append, message), mail.receipt))
            case SignalSentToRun() if mail.is_asked:
                what = f"the answer to signal {arrival.name!r} to workflow {workflow_id!r}"
                self._add_for(mail, workflow_id, what, _nothing, consumes=False)
            case SignalSentToRun():
                what = f"signal {arrival.name!r} to workflow {workflow_id!r}"
                message = signal_message(workflow_id, arrival, self._clock.now())
                self._add(_Job(what, partial(self._append, message), mail.receipt))
            case StartRequest():
                what = f"a start of workflow {workflow_id!r}"
                judge = partial(self._judge, workflow_id, arrival, reason)
                self._add_for(mail, workflow_id, what, judge)
            case UpdateSentToRun() | CancelRequest() | RetryRequest() | SupplyRequest():
                # Judged by code only, which is not there; the sender knows that nothing was kept.
                stuck = WorkflowStuckError(workflow_id, reason)
                if mail.receipt is not None:
                    mail.receipt.settle(stuck)
                if mail.is_asked:
                    what = f"an answer of workflow {workflow_id!r}"
                    self._add_for(mail, workflow_id, what, partial(_nothing, stuck))
            case _:
                # Asked for again when the run goes on; nobody waits for it.
                assert mail.receipt is None

    def free(self, workflow_id: WorkflowId, mail: Mail) -> None:
        """Hand a run on that is to be tried again, behind what has been kept of it so far."""
        what = f"another try of workflow {workflow_id!r}"
        write = partial(self._free, workflow_id, mail)
        self._add(_Job(what, write, mail.receipt, hands_on=True))

    @property
    def is_busy(self) -> bool:
        """Is something left to be written?"""
        return bool(self._jobs)

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

    def _add_for(
        self,
        mail: Mail,
        workflow_id: WorkflowId,
        what: str,
        write: Callable[[], Awaitable[AionError | None]],
        *,
        consumes: bool = True,
    ) -> None:
        """Write something, and an answer to who has asked for it in the store.

        Args:
            consumes: the message is done with then.
        """
        if mail.is_asked:
            assert mail.message_id is not None
            write = partial(self._answered, workflow_id, mail.message_id, write, consumes)
        self._add(_Job(what, write, mail.receipt))

    async def _answered(
        self,
        workflow_id: WorkflowId,
        message_id: str,
        write: Callable[[], Awaitable[AionError | None]],
        consumes: bool,  # for a partial
    ) -> AionError | None:
        refusal = await write()
        if not consumes and await self._store.fetch_answer(message_id) is not None:
            return refusal  # by the engine before this one
        answer = reply(message_id, refusal, self._clock.now())
        consume = message_id if consumes else None
        await write_answers(self._store, self._writer, workflow_id, [answer], consume=consume)
        if consumes:
            self._on_consumed(message_id)
        return refusal

    async def _free(self, workflow_id: WorkflowId, mail: Mail) -> None:
        self._on_freed(workflow_id, mail, await self._messages_to(workflow_id))

    async def _messages_to(self, workflow_id: WorkflowId) -> list[Message]:
        return [
            stored.message
            async for stored in self._store.all_messages()
            if stored.message.target == workflow_id
        ]

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
                self.pauses_until = self._clock.monotonic() + pause
                await self._clock.sleep_until_monotonic(self.pauses_until)
                self.pauses_until = None
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
        self._on_keeping(message)
        append = Append(message.target, (), summary.events, post=[message])
        (refusal,) = await self._writer.append_many([append])
        if refusal is not None:
            raise refusal
        self._on_kept(message)
        return None

    async def _judge(
        self, workflow_id: WorkflowId, request: StartRequest, reason: str
    ) -> AionError | None:
        """A start is judged as that of any run: asked for again, it is taken as made."""
        try:
            history = await self._store.read_history(workflow_id)
        except CorruptHistoryError:
            return WorkflowStuckError(workflow_id, reason)
        # Only facts: what follows from the start may be out of shape, and why the run is stuck.
        facts = RunFacts((), ())
        for event in history:
            facts.take(event)
        origin = facts.origin
        if origin is None:
            return WorkflowStuckError(workflow_id, reason)
        return judge_start(origin, request, self._is_same)

    async def _terminate(self, end: _Termination, reason: str) -> AionError | None:
        """End a run without its code, which is not asked anyway."""
        workflow_id = end.workflow_id
        try:
            reading = RunReading(workflow_id, await self._store.read_history(workflow_id))
        except (CorruptHistoryError, HistoryShapeError):
            return WorkflowStuckError(workflow_id, reason)
        facts, head = reading.facts, reading.projection.head
        is_done = end.event is not None and facts.terminal == end.event
        if not is_done:
            now = self._clock.now()
            verdict = Judge(reading.projection, facts, self._is_same)(end.request, now)
            if verdict is None or isinstance(verdict, AionError):
                return verdict
            end.event = verdict
        assert end.event is not None
        assert facts.started is not None
        posts = [
            outgoing_message(workflow_id, each, end.event.recorded_at)
            for each in outgoing_of(end.event, facts.started, facts.children.values())
        ]
        if not is_done:
            at, consume = end.event.recorded_at, [] if end.message_id is None else [end.message_id]
            answers = replies_to_unanswered(workflow_id, end.event, facts.updates, at)
            if end.is_asked:
                answers += [reply(each, None, at) for each in consume]
            append = Append(
                workflow_id, [end.event], head, consume=consume, post=posts, answer=answers
            )
            (refusal,) = await self._writer.append_many([append])
            if refusal is not None:
                raise refusal
        waiting = await self._messages_to(workflow_id)
        self._on_ended(
            EndedOutside(terminal=end.event, posts=posts, consumed=end.message_id, waiting=waiting)
        )
        return None

    def _settle(self, job: _Job, error: AionError | None) -> None:
        if job.receipt is not None and (error is not None or not job.hands_on):
            job.receipt.settle(error)


async def _nothing(refusal: AionError | None = None) -> AionError | None:
    """What is to be written is the answer alone."""
    return refusal
