"""The client: what a caller can do with workflows, in the engine's process or in another one.

Got from `aion_runtime.opening_client.open_client`; an engine is a client, too.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple, Unpack

import attrs

from aion_core import events as e
from aion_core.authoring.queries import Query
from aion_core.authoring.signals import Signal
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import Workflow
from aion_core.codec import to_micros
from aion_core.contracts import EVERYTHING, EngineView, EventStore, FeedItem, RunFilter, RunPage
from aion_core.errors import (
    WorkflowFailedError,
    WorkflowNotFoundError,
    WorkflowUsageError,
)
from aion_core.history import WorkflowSummary
from aion_core.ids import RunId, WorkflowId, validated_workflow_id
from aion_core.machine.arrivals import (
    Arrival,
    CancelRequest,
    RetryRequest,
    SignalSentToRun,
    StartRequest,
    SupplyRequest,
    TerminateRequest,
    UpdateSentToRun,
)
from aion_core.machine.tasks import current_task_or_none
from aion_core.machine.waits import WAITS_QUERY, Wait
from aion_core.payloads import Payload, PayloadConverter
from aion_core.policies import seconds
from aion_core.values import checked_attributes
from aion_runtime.catalog import WorkflowCatalog, call_of
from aion_runtime.clock import Clock
from aion_runtime.endings import failure_of, why_update_failed
from aion_runtime.explaining import Explanation, explain_run
from aion_runtime.following import Followed
from aion_runtime.handles import WorkflowHandle
from aion_runtime.ports import BEGUN_QUERY, Port

__all__ = ["Client"]

Ts = TypeVarTuple("Ts")
R = TypeVar("R")
T = TypeVar("T")
A = TypeVar("A")

EXPLAIN_PATIENCE_S = 2.0
"""Seconds that an engine has to say what code waits for; without it the rest is told."""


class Client(EngineView):
    """Starts workflows, sends them signals, tells how they end.

    Calls that change something, or ask a run, are answered by the engine that has the store open.
    Of a client in another process they raise `NoAnswerError` when there is none in time; what was
    asked is kept then, and done when an engine comes. Cancelling a call cancels the wait alone.
    """

    def __init__(
        self,
        store: EventStore,
        catalog: WorkflowCatalog,
        converter: PayloadConverter,
        port: Port,
        clock: Clock,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._converter = converter
        self._port = port
        self._clock = clock

    async def start(
        self,
        workflow: Callable[[Unpack[Ts]], Coroutine[Any, Any, R]],
        *args: *Ts,
        workflow_id: str | None = None,
        attributes: Mapping[str, object] | None = None,
        memo: object = None,
        delay: float | timedelta | None = None,
    ) -> WorkflowHandle[R]:
        """Start a workflow; its start is durable when this returns.

        Idempotent by workflow id: the same start again gives a handle of the same workflow.

        Args:
            workflow: a definition; keywords by ``functools.partial``.
            workflow_id: the caller's key for it; a new one is made when not given.
            attributes: by which it is to be found.
            memo: a note of any JSON for people and for `workflow_info`.
            delay: seconds for which its code does not run yet.

        Raises:
            WorkflowAlreadyStartedError: the id belongs to another type or another input.
            UnknownWorkflowTypeError: the engine was not given this definition.
            PayloadError: an argument does not fit its annotation, or the memo is no JSON.
            InvalidIdError: the id cannot be one.
            TypeError, ValueError: an attribute cannot be one, or the delay.
        """
        definition, positional, keywords = call_of(workflow, args)
        self._port.check_definition(definition)
        given = definition.signature.encode_arguments(positional, keywords, self._converter)
        request = self._start_request(definition.name, given, attributes, memo, delay)
        id_ = self._id_for(workflow_id)
        await self._send(id_, request)
        return WorkflowHandle(self, id_, definition)

    async def start_named(
        self,
        workflow_type: str,
        arguments: Mapping[str, object],
        *,
        workflow_id: str | None = None,
        attributes: Mapping[str, object] | None = None,
        memo: object = None,
        delay: float | timedelta | None = None,
    ) -> WorkflowHandle[Any]:
        """Start a workflow whose code is not here, as `start` does.

        The engine looks at the type and the arguments before anything is recorded.

        Args:
            workflow_type: the name of the workflow.
            arguments: by the names of its parameters, each as JSON has it.
        """
        _require_text(workflow_type, "start_named", "the name of a workflow")
        if not isinstance(arguments, Mapping):
            raise WorkflowUsageError(
                f"start_named takes the arguments by name, as in {{'number': 7}}, not {arguments!r}"
            )
        given = self._converter.encode(dict(arguments), dict[str, Any])
        request = self._start_request(workflow_type, given, attributes, memo, delay)
        id_ = self._id_for(workflow_id)
        self._require_accepting()
        await self._send(id_, await self._port.check(id_, request))
        return WorkflowHandle(self, id_)

    def get(self, workflow_id: str) -> WorkflowHandle[Any]:
        """A handle by id; whether there is such a workflow shows when it is used."""
        return WorkflowHandle(self, validated_workflow_id(workflow_id))

    async def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        """Workflows, newest start first; pass the page's ``cursor`` on for the next.

        Open runs that an engine could not move say why in ``stuck``. Of those that it has not tried
        to move the engine itself knows more than the filter, and than a client elsewhere.
        """
        _require_filter(filter)
        page = await self._open_store().list_runs(filter, limit=limit, cursor=cursor)
        return attrs.evolve(page, runs=[self._port.with_reason(each) for each in page.runs])

    async def count(self, filter: RunFilter = EVERYTHING) -> int:
        """How many workflows there are in a list."""
        _require_filter(filter)
        return await self._open_store().count(filter)

    async def describe(self, workflow_id: str) -> WorkflowSummary:
        """One line about a workflow. Raises `WorkflowNotFoundError`."""
        return await self._describe(validated_workflow_id(workflow_id))

    async def explain(self, workflow_id: str) -> Explanation:
        """Why a workflow does not go on: what it waits for, since when, and what happens next.

        An engine is asked for the signals and conditions that its code awaits; when none answers,
        or the run is stuck, the rest is told. Raises `WorkflowNotFoundError`.
        """
        return await self._explain(validated_workflow_id(workflow_id))

    def events(self, filter: RunFilter = EVERYTHING, *, after: int = 0) -> AsyncIterator[FeedItem]:
        """What is committed, to all workflows, in one order that never changes; without end.

        A reader that keeps the position of the last item it is done with goes on from there, after
        a crash, too: ``events(after=position)``.

        Args:
            filter: held against the summary of the workflow as it is when its event is read. So
                it is good for what does not change: the type, the id by ``text``, attributes set at
                the start. By ``status=COMPLETED`` one reads whatever has completed, from its
                first event, if it has completed by the time it is read.
            after: a position; 0 for the oldest event that there is.

        Raises:
            Lagged: workflows have been purged whose events behind ``after`` were not read yet, of
                which filter ever. With ``after=0`` this is so only of events that were still to
                come when it began. Asked for the next item then, it goes on behind them.
            ValueError: ``after`` is less than 0.
        """
        _require_filter(filter)
        if type(after) is not int:
            raise TypeError(f"after is the position of an event, or 0, not {after!r}")
        if after < 0:
            raise ValueError(f"after is the position of an event, or 0, not {after!r}")
        return Followed(self._feed, self._summary_of, self._next_commit, filter, after)

    async def _feed(self, after: int) -> Sequence[FeedItem]:
        return await self._open_store().feed(after)

    async def _summary_of(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        return await self._open_store().read_summary(workflow_id)

    async def _next_commit(self, mark: object) -> object:
        return await self._port.next_commit(mark)

    async def _describe(self, workflow_id: WorkflowId) -> WorkflowSummary:
        """One line about a workflow. Raises `WorkflowNotFoundError`."""
        summary = await self._open_store().read_summary(workflow_id)
        if summary is None:
            raise WorkflowNotFoundError(workflow_id)
        return self._port.with_reason(summary)

    async def _explain(self, workflow_id: WorkflowId) -> Explanation:
        """See `explain`."""

        async def waits() -> Sequence[Wait]:
            answer = await self._port.ask(workflow_id, WAITS_QUERY, patience=EXPLAIN_PATIENCE_S)
            found: list[Wait] = self._converter.decode(answer, list[Wait])
            return found

        async def begun() -> Sequence[str]:
            answer = await self._port.ask(workflow_id, BEGUN_QUERY, patience=EXPLAIN_PATIENCE_S)
            found: list[str] = self._converter.decode(answer, list[str])
            return found

        return await explain_run(self._open_store(), workflow_id, self._clock.now(), waits, begun)

    async def _read_history(self, workflow_id: WorkflowId) -> Sequence[e.HistoryEvent]:
        """All events of a workflow. Raises `WorkflowNotFoundError`."""
        history = await self._open_store().read_history(workflow_id)
        if not history:
            raise WorkflowNotFoundError(workflow_id)
        return history

    async def _wait_result(
        self, workflow_id: WorkflowId, definition: Workflow[..., Any] | None
    ) -> Any:
        """See `WorkflowHandle.result`."""
        _require_outside()
        terminal = await self._port.closed(workflow_id)
        if not isinstance(terminal, e.WorkflowCompleted):
            raise WorkflowFailedError(workflow_id, failure_of(terminal))
        # It may have gone on as a workflow of another type.
        workflow_type = (await self._describe(workflow_id)).workflow_type
        if workflow_type in self._catalog:
            definition = self._catalog(workflow_type)
        elif definition is None or workflow_type not in (definition.name, *definition.aliases):
            return self._converter.decode(terminal.result, Any)
        return definition.signature.decode_result(terminal.result, self._converter)

    async def _ask(self, workflow_id: WorkflowId, query: Query[T]) -> T:
        """See `WorkflowHandle.query`."""
        _require_a(Query, query, "query", "Query(name, type)")
        _require_outside()
        answer = await self._port.ask(workflow_id, query.name)
        value: T = query.decode(answer, self._converter)
        return value

    async def _update(
        self, workflow_id: WorkflowId, update: Update[A, R], arg: A, update_id: str | None
    ) -> R:
        """See `WorkflowHandle.update`."""
        _require_a(Update, update, "update", "Update(name, arg_type, result_type)")
        self._require_accepting()
        arrival = UpdateSentToRun(
            name=update.name,
            arg=update.encode(arg, self._converter),
            update_id=str(uuid.uuid4()) if update_id is None else update_id,
        )
        await self._port.check(workflow_id, arrival)
        self._require_accepting()
        is_named = update_id is not None
        answer = await self._port.update(workflow_id, arrival, is_named=is_named)
        if isinstance(answer, e.UpdateFailed):
            raise why_update_failed(workflow_id, update.name, answer.error)
        result: R = update.decode_result(answer.result, self._converter)
        return result

    async def _cancel(self, workflow_id: WorkflowId, reason: str) -> None:
        """See `WorkflowHandle.cancel`."""
        _require_text(reason, "cancel", "its reason")
        await self._send(workflow_id, CancelRequest(reason=reason))

    async def _terminate(self, workflow_id: WorkflowId, reason: str) -> None:
        """See `WorkflowHandle.terminate`."""
        _require_text(reason, "terminate", "its reason")
        await self._send(workflow_id, TerminateRequest(reason=reason))

    async def _request(
        self, workflow_id: WorkflowId, request: RetryRequest | SupplyRequest
    ) -> None:
        """See `WorkflowHandle.retry` and `WorkflowHandle.supply`."""
        method = "retry" if isinstance(request, RetryRequest) else "supply"
        if request.activity_id is not None or isinstance(request, SupplyRequest):
            _require_text(request.activity_id, method, "the id of an activity")
        if isinstance(request, SupplyRequest):
            _require_text(request.supplied_by, method, "who supplies")
        await self._send(workflow_id, request)

    async def _send_signal(
        self, workflow_id: WorkflowId, signal: Signal[T], value: T, signal_id: str | None
    ) -> None:
        """See `WorkflowHandle.signal`."""
        _require_a(Signal, signal, "signal", "Signal(name, type)")
        self._require_accepting()
        arrival = SignalSentToRun(
            name=signal.name,
            payload=signal.encode(value, self._converter),
            signal_id=str(uuid.uuid4()) if signal_id is None else signal_id,
        )
        await self._port.check(workflow_id, arrival)
        await self._send(workflow_id, arrival)

    async def _send(self, workflow_id: WorkflowId, arrival: Arrival) -> None:
        self._require_accepting()
        await self._port.send(workflow_id, arrival)

    def _open_store(self) -> EventStore:
        _require_outside()
        return self._port.open_store()

    def _require_accepting(self) -> None:
        _require_outside()
        self._port.require_accepting()

    def _id_for(self, workflow_id: str | None) -> WorkflowId:
        # Version 7 ids sort by time, which keeps the store's index compact.
        return validated_workflow_id(
            _uuid7(self._clock.now()) if workflow_id is None else workflow_id
        )

    def _start_request(
        self,
        workflow_type: str,
        given: Payload,
        attributes: Mapping[str, object] | None,
        memo: object,
        delay: float | timedelta | None,
    ) -> StartRequest:
        not_before = None
        if delay is not None:
            not_before = self._clock.now() + timedelta(seconds=seconds(delay))
        return StartRequest(
            workflow_type=workflow_type,
            input=given,
            run_id=RunId(str(uuid.uuid4())),
            # Of the code that the engine has loaded.
            package_version=None,
            random_seed=secrets.randbits(63),
            attributes=None if attributes is None else checked_attributes(attributes),
            memo=None if memo is None else self._converter.encode(memo, Any),
            not_before=not_before,
        )


def _require_outside() -> None:
    # Before anything is done: refused half-way, at the first await, it would be done for good.
    if current_task_or_none() is not None:
        raise WorkflowUsageError(
            "a workflow cannot ask an engine; await another workflow to start it, Signal.send to "
            "reach it, or let an activity ask"
        )


def _require_a(kind: type, message: object, method: str, example: str) -> None:
    if not isinstance(message, kind):
        article = "an" if kind is Update else "a"
        raise WorkflowUsageError(
            f"{method} takes {article} {kind.__name__}, not {message!r}; make one by {example}"
        )


def _require_filter(filter: object) -> None:
    if not isinstance(filter, RunFilter):
        raise WorkflowUsageError(
            f"a filter is a RunFilter, as in RunFilter(workflow_type='order'), not {filter!r}"
        )


def _require_text(text: object, method: str, what: str) -> None:
    if not isinstance(text, str):
        raise WorkflowUsageError(f"{method} takes {what} as a text, not {text!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        # Recorded nowhere, it would be tried again and again, before all else that the run gets.
        raise WorkflowUsageError(
            f"{method} takes {what} as a text that can be stored, without half a surrogate pair: "
            f"{text!r}"
        ) from None


def _uuid7(now: datetime) -> str:
    """A time-ordered UUID: RFC 9562, section 5.7."""
    milliseconds = to_micros(now) // 1_000
    version, variant = 0x7, 0b10
    random_a, random_b = secrets.randbits(12), secrets.randbits(62)
    value = milliseconds << 80 | version << 76 | random_a << 64 | variant << 62 | random_b
    return str(uuid.UUID(int=value))
