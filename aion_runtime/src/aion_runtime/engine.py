"""The engine: what a caller can do with workflows. Got from `aion_runtime.opening.open_engine`."""

from __future__ import annotations

import difflib
import secrets
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, TypeVarTuple, Unpack

import attrs

from aion_core import events as e
from aion_core.authoring.accepting import Accepts
from aion_core.authoring.queries import Query
from aion_core.authoring.signals import Signal
from aion_core.authoring.updates import Update
from aion_core.codec import to_micros
from aion_core.contracts import EVERYTHING, EngineView, EventStore, RunFilter, RunPage
from aion_core.errors import (
    AionError,
    EngineStoppedError,
    UnknownWorkflowTypeError,
    UpdateFailedError,
    WorkflowClosedError,
    WorkflowFailedError,
    WorkflowNotFoundError,
    WorkflowStuckError,
    WorkflowUsageError,
)
from aion_core.failures import Failure
from aion_core.history import WorkflowSummary
from aion_core.ids import RunId, WorkflowId, validated_workflow_id
from aion_core.machine.arrivals import (
    Arrival,
    CancelRequest,
    SignalSentToRun,
    StartRequest,
    TerminateRequest,
    UpdateSentToRun,
)
from aion_core.machine.tasks import current_task_or_none
from aion_core.machine.updates import unanswered
from aion_core.payloads import Payload, PayloadConverter
from aion_core.status import WorkflowStatus
from aion_core.values import checked_attributes
from aion_runtime.catalog import WorkflowCatalog, call_of
from aion_runtime.clock import Clock
from aion_runtime.closed_runs import ClosedRuns
from aion_runtime.dispatcher import Dispatcher
from aion_runtime.entries import Receipt
from aion_runtime.handles import WorkflowHandle
from aion_runtime.recovery.startup import StartupReport
from aion_runtime.resting import Rest

__all__ = ["Engine"]

Ts = TypeVarTuple("Ts")
R = TypeVar("R")
T = TypeVar("T")
A = TypeVar("A")


class Engine(EngineView):
    """Starts workflows, sends them signals, tells how they end.

    Attributes:
        recovery_report: what was found when the store was opened.
    """

    recovery_report: StartupReport
    _rest: Rest

    def __init__(
        self,
        store: EventStore,
        catalog: WorkflowCatalog,
        converter: PayloadConverter,
        dispatcher: Dispatcher,
        closed_runs: ClosedRuns,
        clock: Clock,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._converter = converter
        self._dispatcher = dispatcher
        self._closed_runs = closed_runs
        self._clock = clock
        self._accepting = True
        self._closed = False

    async def start(
        self,
        workflow: Callable[[Unpack[Ts]], Coroutine[Any, Any, R]],
        *args: *Ts,
        workflow_id: str | None = None,
        attributes: Mapping[str, object] | None = None,
        memo: object = None,
    ) -> WorkflowHandle[R]:
        """Start a workflow; its start is durable when this returns.

        Idempotent by workflow id: the same start again gives a handle of the same workflow.

        Args:
            workflow: a definition; keywords by ``functools.partial``.
            workflow_id: the caller's key for it; a new one is made when not given.
            attributes: by which it is to be found.
            memo: a note of any JSON for people and for `workflow_info`.

        Raises:
            WorkflowAlreadyStartedError: the id belongs to another type or another input.
            UnknownWorkflowTypeError: the engine was not given this definition.
            PayloadError: an argument does not fit its annotation, or the memo is no JSON.
            InvalidIdError: the id cannot be one.
            TypeError, ValueError: an attribute cannot be one.
        """
        definition, positional, keywords = call_of(workflow, args)
        self._catalog(definition.name)
        if not self._catalog.holds(definition):
            raise WorkflowUsageError(
                f"the engine has another workflow named {definition.name!r}; "
                "start the one that was given to open_engine(workflows=[...])"
            )
        # Version 7 ids sort by time, which keeps the store's index compact.
        id_ = validated_workflow_id(
            _uuid7(self._clock.now()) if workflow_id is None else workflow_id
        )
        await self._send(
            id_,
            StartRequest(
                workflow_type=definition.name,
                input=definition.signature.encode_arguments(positional, keywords, self._converter),
                run_id=RunId(str(uuid.uuid4())),
                package_version=self._catalog.version_of(definition.name),
                random_seed=secrets.randbits(63),
                attributes=None if attributes is None else checked_attributes(attributes),
                memo=None if memo is None else self._converter.encode(memo, Any),
            ),
        )
        return WorkflowHandle(self, id_)

    def get(self, workflow_id: str) -> WorkflowHandle[Any]:
        """A handle by id; whether there is such a workflow shows when it is used."""
        return WorkflowHandle(self, validated_workflow_id(workflow_id))

    async def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        """Workflows, newest start first; pass the page's ``cursor`` on for the next.

        Open runs that this engine cannot move say why in ``stuck``; the filter knows of those that
        it has tried to move.
        """
        page = await self._open_store().list_runs(filter, limit=limit, cursor=cursor)
        return attrs.evolve(page, runs=[self._with_reason(summary) for summary in page.runs])

    async def describe(self, workflow_id: str) -> WorkflowSummary:
        """One line about a workflow. Raises `WorkflowNotFoundError`."""
        return await self._describe(validated_workflow_id(workflow_id))

    async def _describe(self, workflow_id: WorkflowId) -> WorkflowSummary:
        """One line about a workflow. Raises `WorkflowNotFoundError`."""
        summary = await self._open_store().read_summary(workflow_id)
        if summary is None:
            raise WorkflowNotFoundError(workflow_id)
        return self._with_reason(summary)

    async def _read_history(self, workflow_id: WorkflowId) -> Sequence[e.HistoryEvent]:
        """All events of a workflow. Raises `WorkflowNotFoundError`."""
        history = await self._open_store().read_history(workflow_id)
        if not history:
            raise WorkflowNotFoundError(workflow_id)
        return history

    async def _wait_result(self, workflow_id: WorkflowId) -> Any:
        """See `WorkflowHandle.result`."""
        with self._dispatcher.closings.expected(workflow_id) as closing:
            summary = await self._describe(workflow_id)
            if summary.status.is_closed:
                store = self._open_store()
                (terminal,) = await store.read_history_from(workflow_id, summary.events)
            elif summary.stuck is not None:
                raise WorkflowStuckError(workflow_id, summary.stuck)
            else:
                # It may have more to do than is recorded, when its code has grown.
                self._dispatcher.wake(workflow_id)
                terminal = await closing.wait()
                # It may have gone on as a workflow of another type.
                summary = await self._describe(workflow_id)
        if not isinstance(terminal, e.WorkflowCompleted):
            raise WorkflowFailedError(workflow_id, _failure_of(terminal))
        definition = self._catalog(summary.workflow_type)
        return definition.signature.decode_result(terminal.result, self._converter)

    async def _ask(self, workflow_id: WorkflowId, query: Query[T]) -> T:
        """See `WorkflowHandle.query`."""
        _require_a(Query, query, "query", "Query(name, type)")
        summary = await self._describe(workflow_id)
        answer: Payload | None = None
        if not summary.status.is_closed:
            answer = await self._dispatcher.ask(workflow_id, query.name)
        if answer is None:
            answer = await self._closed_runs.ask(workflow_id, query.name)
        value: T = query.decode(answer, self._converter)
        return value

    async def _update(
        self, workflow_id: WorkflowId, update: Update[A, R], arg: A, update_id: str | None
    ) -> R:
        """See `WorkflowHandle.update`."""
        _require_a(Update, update, "update", "Update(name, arg_type, result_type)")
        self._require_accepting()
        payload = update.encode(arg, self._converter)
        await self._check_update(workflow_id, update, payload)
        arrival = UpdateSentToRun(
            name=update.name,
            arg=payload,
            update_id=str(uuid.uuid4()) if update_id is None else update_id,
        )
        with self._dispatcher.answers.expected(workflow_id, arrival.update_id) as pending:
            await self._send(workflow_id, arrival)
            answer = pending.event
            if answer is None and update_id is not None:
                # Asked before, it may have its answer since.
                answer = await self._recorded_answer(workflow_id, update_id)
            if answer is None:
                answer = await pending.wait()
        if isinstance(answer, e.UpdateFailed):
            raise _why_failed(workflow_id, update.name, answer.error)
        result: R = update.decode_result(answer.result, self._converter)
        return result

    async def _recorded_answer(
        self, workflow_id: WorkflowId, update_id: str
    ) -> e.UpdateCompleted | e.UpdateFailed | None:
        for event in reversed(await self._read_history(workflow_id)):
            match event:
                case e.UpdateCompleted() | e.UpdateFailed() if event.update_id == update_id:
                    return event
        return None

    async def _cancel(self, workflow_id: WorkflowId, reason: str) -> None:
        """See `WorkflowHandle.cancel`."""
        _require_reason(reason, "cancel")
        await self._send(workflow_id, CancelRequest(reason=reason))

    async def _terminate(self, workflow_id: WorkflowId, reason: str) -> None:
        """See `WorkflowHandle.terminate`."""
        _require_reason(reason, "terminate")
        await self._send(workflow_id, TerminateRequest(reason=reason))

    async def _send_signal(
        self, workflow_id: WorkflowId, signal: Signal[T], value: T, signal_id: str | None
    ) -> None:
        """See `WorkflowHandle.signal`."""
        _require_a(Signal, signal, "signal", "Signal(name, type)")
        self._require_accepting()
        payload = signal.encode(value, self._converter)
        await self._check_accepted(workflow_id, signal, payload)
        if signal_id is None:
            signal_id = str(uuid.uuid4())
        arrival = SignalSentToRun(name=signal.name, payload=payload, signal_id=signal_id)
        await self._send(workflow_id, arrival)

    def _stop_accepting(self) -> None:
        """From now on every call that would change something is refused."""
        self._accepting = False

    def _close(self) -> None:
        """From now on every call is refused: the store is about to be closed."""
        self._accepting = False
        self._closed = True

    def _open_store(self) -> EventStore:
        _require_outside()
        if self._closed:
            raise EngineStoppedError("the engine has stopped; open it again to ask it something")
        return self._store

    async def _send(self, workflow_id: WorkflowId, arrival: Arrival) -> None:
        self._require_accepting()
        receipt = Receipt()
        self._dispatcher.post(workflow_id, arrival, receipt)
        await receipt.wait()

    def _require_accepting(self) -> None:
        _require_outside()
        if not self._accepting:
            raise EngineStoppedError("the engine is stopping and takes nothing new")

    async def _check_accepted(
        self, workflow_id: WorkflowId, signal: Signal[Any], payload: Payload
    ) -> None:
        """Refuse, before anything is recorded, what the workflow said it would not take."""
        summary, accepted = await self._accepted(workflow_id)
        if accepted is None:
            return
        accepts = accepted.signals
        if signal.name not in accepts:
            near = difflib.get_close_matches(signal.name, accepts, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise WorkflowUsageError(
                f"workflow {summary.workflow_type!r} does not accept a signal {signal.name!r}"
                f" (it accepts: {', '.join(accepts) or 'none'}){hint}"
            )
        # The sender may know another type by that name.
        accepts[signal.name].decode(payload, self._converter)

    async def _check_update(
        self, workflow_id: WorkflowId, update: Update[Any, Any], payload: Payload
    ) -> None:
        """Refuse an argument that does not fit what the workflow said that it takes."""
        _, accepted = await self._accepted(workflow_id)
        if accepted is not None and update.name in accepted.updates:
            accepted.updates[update.name].decode(payload, self._converter)

    async def _accepted(self, workflow_id: WorkflowId) -> tuple[WorkflowSummary, Accepts | None]:
        summary = await self._describe(workflow_id)
        if summary.workflow_type not in self._catalog:
            return summary, None
        return summary, self._catalog(summary.workflow_type).accepts

    def _with_reason(self, summary: WorkflowSummary) -> WorkflowSummary:
        if summary.status.is_closed:
            return summary
        reason = self._dispatcher.stuck.get(summary.workflow_id)
        if reason is None and summary.workflow_type not in self._catalog:
            try:
                self._catalog(summary.workflow_type)
            except UnknownWorkflowTypeError as error:
                reason = str(error)
        return summary if reason is None else attrs.evolve(summary, stuck=reason)


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


def _require_reason(reason: object, method: str) -> None:
    if not isinstance(reason, str):
        raise WorkflowUsageError(f"{method} takes its reason as a text, not {reason!r}")


def _why_failed(workflow_id: WorkflowId, update: str, failure: Failure) -> AionError:
    """What is raised of an update that failed: its handler did, or the run ended first."""
    if failure.type == WorkflowClosedError.__name__:
        for status in WorkflowStatus:
            closed = unanswered(workflow_id, status.value)
            if str(closed) == failure.message:
                return closed
    return UpdateFailedError(workflow_id, update, failure)


def _failure_of(terminal: e.HistoryEvent) -> Failure:
    """Why a workflow did not return."""
    match terminal:
        case e.WorkflowFailed(error=error):
            return error
        case e.WorkflowCancelled(reason=reason):
            return Failure(type="Cancelled", message=reason, kind="cancelled")
        case e.WorkflowTerminated(reason=reason):
            return Failure(type="Terminated", message=reason)
        case e.WorkflowTimedOut(timeout=timeout):
            return Failure(type="TimedOut", message=f"its {timeout} time was over", kind="timeout")
        case _:
            raise AssertionError(f"{type(terminal).__name__} does not end a workflow")


def _uuid7(now: datetime) -> str:
    """A time-ordered UUID: RFC 9562, section 5.7."""
    milliseconds = to_micros(now) // 1_000
    version, variant = 0x7, 0b10
    random_a, random_b = secrets.randbits(12), secrets.randbits(62)
    value = milliseconds << 80 | version << 76 | random_a << 64 | variant << 62 | random_b
    return str(uuid.UUID(int=value))
