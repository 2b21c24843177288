"""The port of a client elsewhere: requests go through the store, and so do their answers."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar

from aion_core.authoring.workflows import Workflow
from aion_core.contracts import Answer, EventStore, Message
from aion_core.errors import (
    EngineStoppedError,
    NoAnswerError,
    StoreError,
    StoreUnavailableError,
    WorkflowNotFoundError,
    WorkflowStuckError,
)
from aion_core.events import HistoryEvent, UpdateCompleted, UpdateFailed
from aion_core.history import RunProjection, WorkflowSummary
from aion_core.ids import START_TIMER, WorkflowId
from aion_core.machine.arrivals import (
    Arrival,
    RetryRequest,
    SignalSentToRun,
    StartRequest,
    SupplyRequest,
    UpdateSentToRun,
)
from aion_core.machine.updates import unanswered
from aion_core.payloads import Payload
from aion_runtime.clock import Clock
from aion_runtime.letters import query_message, request_message
from aion_runtime.ports import Port
from aion_runtime.recorded_updates import recorded_update
from aion_runtime.replies import ending_of_update, id_of_update, raise_refusal, value_in

__all__ = ["ClientPort"]

T = TypeVar("T")

FIRST_NAP_S = 0.005
LONGEST_NAP_S = 0.05
LONGEST_NAP_FOR_RESULT_S = 0.25
"""Seconds between two looks for an answer, at first and at last; runs may take days."""

GROWTH = 1.2


class ClientPort(Port):
    """Posts messages, and looks for the answers.

    Args:
        answer_timeout: seconds until `NoAnswerError`.
    """

    def __init__(self, store: EventStore, clock: Clock, answer_timeout: float) -> None:
        self._store = store
        self._clock = clock
        self._answer_timeout = answer_timeout
        self._closed = False

    def close(self) -> None:
        """From now on every call is refused: the store is about to be closed."""
        self._closed = True

    def require_accepting(self) -> None:
        self.open_store()

    def open_store(self) -> EventStore:
        if self._closed:
            raise EngineStoppedError("the client is closed; open it again to ask something")
        return self._store

    def check_definition(self, definition: Workflow[..., Any]) -> None:
        """The engine looks at it."""

    async def check(self, workflow_id: WorkflowId, arrival: Arrival) -> Arrival:
        """The engine looks at it."""
        return arrival

    async def send(self, workflow_id: WorkflowId, arrival: Arrival) -> None:
        sender_id = str(uuid.uuid4())
        message = request_message(workflow_id, arrival, sender_id, self._clock.now())
        raise_refusal(await self._answer_to(message, _what(arrival)))

    async def update(
        self, workflow_id: WorkflowId, arrival: UpdateSentToRun, *, is_named: bool
    ) -> UpdateCompleted | UpdateFailed:
        await self.send(workflow_id, arrival)
        # It is accepted now, so it has an end, in this engine or in the next.
        message_id = id_of_update(workflow_id, arrival.update_id)

        async def look() -> UpdateCompleted | UpdateFailed | None:
            store = self.open_store()
            # Read before: the end of the run brings an answer.
            summary = await self._summary_of(workflow_id)
            answer = await store.fetch_answer(message_id)
            if answer is not None:
                return ending_of_update(answer, workflow_id)
            if summary.stuck is not None:
                raise WorkflowStuckError(workflow_id, summary.stuck)
            if summary.status.is_closed:
                # The answer has been forgotten since.
                recorded = await recorded_update(store, workflow_id, arrival.update_id)
                if recorded is None or recorded.answer is None:
                    raise unanswered(workflow_id, summary.status.value)
                return recorded.answer
            return None

        return await self._found(look, LONGEST_NAP_S)

    async def ask(
        self, workflow_id: WorkflowId, query: str, *, patience: float | None = None
    ) -> Payload:
        message = query_message(workflow_id, query, str(uuid.uuid4()), self._clock.now())
        return value_in(await self._answer_to(message, f"the query {query!r}", patience))

    async def closed(self, workflow_id: WorkflowId) -> HistoryEvent:
        async def look() -> HistoryEvent | None:
            summary = await self._summary_of(workflow_id)
            if summary.status.is_closed:
                store = self.open_store()
                (terminal,) = await store.read_history_from(workflow_id, summary.events)
                return terminal
            if summary.stuck is not None:
                raise WorkflowStuckError(workflow_id, summary.stuck)
            return None

        return await self._found(look, LONGEST_NAP_FOR_RESULT_S)

    def with_reason(self, summary: WorkflowSummary) -> WorkflowSummary:
        return summary

    async def next_commit(self, mark: object) -> object:
        if not isinstance(mark, float):
            return FIRST_NAP_S
        await self._clock.nap(mark)
        return min(mark * GROWTH, LONGEST_NAP_S)

    async def _summary_of(self, workflow_id: WorkflowId) -> WorkflowSummary:
        summary = await self.open_store().read_summary(workflow_id)
        if summary is None:
            raise WorkflowNotFoundError(workflow_id)
        return summary

    async def _answer_to(
        self, message: Message, what: str, patience: float | None = None
    ) -> Answer:
        """Post a message, once however often that is tried, and wait for its answer.

        Raises:
            NoAnswerError: there is none in time; the message stays.
            StoreUnavailableError: in all that time the store could not be written.
        """
        limit = self._answer_timeout if patience is None else min(patience, self._answer_timeout)
        waited = 0.0
        is_posted = False
        for nap in _naps(LONGEST_NAP_S):
            try:
                if not is_posted:
                    await self.open_store().post(message)
                    is_posted = True
                answer = await self.open_store().fetch_answer(message.message_id)
            except StoreUnavailableError:
                if waited >= limit:
                    raise
                answer = None
            if answer is not None:
                return answer
            if waited >= limit:
                begins_at = await self._begin_of(message) if message.kind == "update" else None
                raise NoAnswerError(what, message.target, limit, begins_at)
            await self._clock.nap(nap)
            waited += nap
        raise AssertionError("naps have no end")

    async def _begin_of(self, message: Message) -> datetime | None:
        """When the workflow of an update begins; None when it has, or that cannot be told."""
        try:
            history = await self.open_store().read_history(message.target)
        except StoreError:
            return None
        timer = RunProjection(message.target, history).timers.get(START_TIMER)
        return None if timer is None else timer.fire_at

    async def _found(self, look: Callable[[], Awaitable[T | None]], longest: float) -> T:
        """Look again and again, until something is found."""
        for nap in _naps(longest):
            try:
                found = await look()
            except StoreUnavailableError:
                found = None
            if found is not None:
                return found
            await self._clock.nap(nap)
        raise AssertionError("naps have no end")


def _naps(longest: float) -> Iterator[float]:
    nap = FIRST_NAP_S
    while True:
        yield nap
        nap = min(nap * GROWTH, longest)


def _what(arrival: Arrival) -> str:
    match arrival:
        case StartRequest():
            return f"the start ({arrival.workflow_type})"
        case SignalSentToRun():
            return f"the signal {arrival.name!r}"
        case UpdateSentToRun():
            return f"the update {arrival.name!r}"
        case RetryRequest():
            return "the retry"
        case SupplyRequest():
            return f"the outcome of {arrival.activity_id}"
        case _:
            return f"the {type(arrival).__name__}"
