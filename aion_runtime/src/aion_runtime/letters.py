"""Letters: arrivals as messages in the store, on their way to a run.

What one run sends to another goes this way always; what comes from outside only if the run cannot
take it now. Written with the codec of the events that they are going to be.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, assert_never

import attrs

from aion_core import events as e
from aion_core.codec import decode_event, encode_event, kind_of
from aion_core.contracts import (
    Message,
    MessageKind,
    RunRef,
    UnreadableMessage,
    message_id_of,
    sent_message_id,
)
from aion_core.errors import CorruptHistoryError
from aion_core.ids import ActivityId, ChildKey, RunId, WorkflowId
from aion_core.machine import arrivals as a
from aion_core.machine.outgoing import Outgoing
from aion_core.payloads import JSON, Payload

__all__ = [
    "arrival_in",
    "is_kept_signal",
    "outcome_message",
    "outgoing_message",
    "query_in",
    "query_message",
    "report_unreadable",
    "request_message",
    "signal_message",
]

logger = logging.getLogger("aion_runtime")


def outcome_message(target: WorkflowId, outcome: a.ActivityOutcome, posted_at: datetime) -> Message:
    """The end of an attempt, as a message of the run to itself."""
    source = RunRef(target, outcome.run_id, outcome.scheduled_seq)
    return Message(
        message_id=message_id_of("outcome", source, target),
        kind="outcome",
        target=target,
        body=_written(target, outcome, posted_at),
        posted_at=posted_at,
        source=source,
    )


def signal_message(target: WorkflowId, signal: a.SignalSentToRun, posted_at: datetime) -> Message:
    """A signal from outside."""
    return Message(
        message_id=sent_message_id("signal", target, signal.signal_id),
        kind="signal",
        target=target,
        body=_written(target, signal, posted_at),
        posted_at=posted_at,
    )


def request_message(
    target: WorkflowId, arrival: a.Arrival, sender_id: str, posted_at: datetime
) -> Message:
    """What somebody outside asks for, who waits for an answer.

    Args:
        sender_id: another one for each sending. By the id of a signal or an update the run itself
            knows whether it has had it; what was answered to one sending is not for the next.
    """
    kind = _KINDS[type(arrival)]
    return Message(
        message_id=sent_message_id(kind, target, sender_id),
        kind=kind,
        target=target,
        body=_written(target, arrival, posted_at),
        posted_at=posted_at,
    )


def is_kept_signal(message: Message, arrival: a.Arrival | None = None) -> bool:
    """Is it a signal that the engine itself has kept, whose sender has been told so?

    Args:
        arrival: what the message brings, if that has been looked at already.
    """
    if message.kind != "signal" or message.source is not None:
        return False
    try:
        arrival = arrival or arrival_in(message)
    except CorruptHistoryError:
        return False
    if not isinstance(arrival, a.SignalSentToRun):
        return False
    return message.message_id == sent_message_id("signal", message.target, arrival.signal_id)


def query_message(target: WorkflowId, query: str, sender_id: str, posted_at: datetime) -> Message:
    """What somebody outside asks a run."""
    return Message(
        message_id=sent_message_id("query", target, sender_id),
        kind="query",
        target=target,
        body=_json({"query": query}),
        posted_at=posted_at,
    )


def query_in(message: Message) -> str:
    """The name of the query that a message asks.

    Raises:
        CorruptHistoryError: it cannot be read.
    """
    with _readable(message):
        query = json.loads(message.body.data)["query"]
        if not isinstance(query, str):
            raise TypeError(f"{query!r} is not the name of a query")
        return query


def outgoing_message(sender: WorkflowId, outgoing: Outgoing, posted_at: datetime) -> Message:
    """What one run has for another."""
    source = RunRef(sender, outgoing.run_id, outgoing.seq)
    return Message(
        message_id=message_id_of(outgoing.kind, source, outgoing.target),
        kind=outgoing.kind,
        target=outgoing.target,
        body=_written(outgoing.target, outgoing.arrival, posted_at),
        posted_at=posted_at,
        source=source,
    )


def arrival_in(message: Message) -> a.Arrival:
    """What a message brings.

    Raises:
        CorruptHistoryError: it cannot be read.
    """
    with _readable(message):
        body = json.loads(message.body.data)
        if b"\\u" in message.body.data:
            # Half a surrogate pair cannot be recorded: the run would try it again and again.
            json.dumps(body, ensure_ascii=False).encode()
        if message.kind == "retry":
            activity_id = body["activity_id"]
            if not isinstance(activity_id, str | None):
                raise TypeError(f"{activity_id!r} is not the id of an activity")
            return a.RetryRequest(
                activity_id=None if activity_id is None else ActivityId(activity_id)
            )
        event = decode_event(
            body["kind"],
            json.dumps(body["event"], ensure_ascii=False),
            seq=1,
            recorded_at=message.posted_at,
            workflow_id=message.target,
        )
        read = _supply_in if message.kind == "supply" else _READERS[type(event)]
        return read(event, body)


def report_unreadable(message: Message, error: CorruptHistoryError) -> None:
    """Log that a message stays in the store, whoever sent it: a later version may know it."""
    logger.error(
        "message %r to workflow %r cannot be read (%s); it is left in the store, and everything "
        "else goes on; if a later version of Aion has sent it, open the store with that version",
        message.message_id,
        message.target,
        error.__cause__ or error,
    )


@contextmanager
def _readable(message: Message) -> Iterator[None]:
    try:
        if isinstance(message, UnreadableMessage):
            raise ValueError(message.reason)
        yield
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptHistoryError(
            message.target, 0, f"message {message.message_id}", f"{type(error).__name__}: {error}"
        ) from error


def _written(target: WorkflowId, arrival: a.Arrival, at: datetime) -> Payload:
    """An arrival as the event that it may become, and what that event does not say."""
    if isinstance(arrival, a.RetryRequest):
        # Which attempt it becomes is known when it is judged.
        return _json({"activity_id": arrival.activity_id})
    event, body = _event_of(target, arrival, at)
    body |= {"kind": kind_of(event), "event": json.loads(encode_event(event))}
    return _json(body)


def _json(body: dict[str, Any]) -> Payload:
    return Payload(JSON, json.dumps(body, ensure_ascii=False).encode())


def _event_of(
    target: WorkflowId, arrival: a.Arrival, at: datetime
) -> tuple[e.HistoryEvent, dict[str, Any]]:
    envelope: dict[str, Any] = {"seq": 1, "recorded_at": at, "workflow_id": target}
    match arrival:
        case a.SignalSentToRun():
            fields = attrs.asdict(arrival, recurse=False)
            return e.SignalReceived(**envelope, **fields), {}
        case a.UpdateSentToRun():
            fields = attrs.asdict(arrival, recurse=False)
            return e.UpdateAccepted(**envelope, **fields), {}
        case a.StartRequest():
            fields = attrs.asdict(arrival, recurse=False)
            fields["package_version"] = arrival.package_version or e.UNVERSIONED
            return e.WorkflowStarted(**envelope, **fields), {}
        case a.CancelRequest():
            event = e.WorkflowCancelRequested(**envelope, reason=arrival.reason)
            return event, _parent_body(arrival.parent)
        case a.TerminateRequest():
            ended = e.WorkflowTerminated(**envelope, reason=arrival.reason)
            return ended, _parent_body(arrival.parent)
        case a.ChildEnded():
            return _child_event(arrival, envelope), {"run_id": arrival.run_id}
        case a.ActivityOutcome():
            return _outcome_event(arrival, envelope)
        case a.SupplyRequest():
            return _supplied_event(arrival, envelope)
        case a.TimerDue() | a.Redelivery() | a.AttemptStart() | a.RetryRequest():
            raise TypeError(f"{type(arrival).__name__} is asked for again, and never a message")
        case _:
            assert_never(arrival)


def _parent_body(parent: e.ParentRef | None) -> dict[str, Any]:
    return {} if parent is None else {"parent": attrs.asdict(parent)}


def _child_event(arrival: a.ChildEnded, envelope: dict[str, Any]) -> e.HistoryEvent:
    key = arrival.child_key
    match arrival.outcome:
        case a.ChildCompleted(result):
            return e.ChildWorkflowCompleted(**envelope, child_key=key, result=result)
        case a.ChildFailed(failure):
            return e.ChildWorkflowFailed(**envelope, child_key=key, error=failure)
        case a.ChildCancelled(detail):
            return e.ChildWorkflowCancelled(**envelope, child_key=key, detail=detail)
        case _:
            assert_never(arrival.outcome)


def _outcome_event(
    arrival: a.ActivityOutcome, envelope: dict[str, Any]
) -> tuple[e.HistoryEvent, dict[str, Any]]:
    body: dict[str, Any] = {
        "run_id": arrival.run_id,
        "scheduled_seq": arrival.scheduled_seq,
        "attempt": arrival.attempt,
    }
    envelope["activity_id"] = arrival.activity_id
    match arrival.outcome:
        case a.AttemptCompleted(result):
            completed = e.ActivityCompleted(**envelope, result=result, attempt=arrival.attempt)
            return completed, body
        case a.AttemptFailed(failure, non_retryable):
            body["non_retryable"] = non_retryable
            failed = e.ActivityFailed(
                **envelope, error=failure, attempt=arrival.attempt, heartbeat=arrival.heartbeat
            )
            return failed, body
        case a.AttemptCancelled(detail, attempt_ran):
            body["attempt_ran"] = attempt_ran
            return e.ActivityCancelled(**envelope, detail=detail), body
        case _:
            assert_never(arrival.outcome)


def _supplied_event(
    arrival: a.SupplyRequest, envelope: dict[str, Any]
) -> tuple[e.HistoryEvent, dict[str, Any]]:
    # The attempt is whichever there is when it is judged.
    envelope |= {"activity_id": arrival.activity_id, "attempt": 1}
    body: dict[str, Any] = {"supplied_by": arrival.supplied_by}
    match arrival.outcome:
        case a.AttemptCompleted(result):
            return e.ActivityCompleted(**envelope, result=result), body
        case a.AttemptFailed(failure):
            return e.ActivityFailed(**envelope, error=failure), body
        case _:
            assert_never(arrival.outcome)


def _supply_in(event: e.HistoryEvent, body: dict[str, Any]) -> a.SupplyRequest:
    outcome: a.AttemptCompleted | a.AttemptFailed
    match event:
        case e.ActivityCompleted():
            outcome = a.AttemptCompleted(event.result)
        case e.ActivityFailed():
            outcome = a.AttemptFailed(event.error, non_retryable=True)
        case _:
            raise TypeError(f"{type(event).__name__} is no outcome of an activity")
    return a.SupplyRequest(
        activity_id=ActivityId(event.activity_id),
        outcome=outcome,
        supplied_by=str(body["supplied_by"]),
    )


def _signal_in(event: e.SignalReceived, body: dict[str, Any]) -> a.SignalSentToRun:
    if event.signal_id is None:
        raise ValueError("the signal has no id")
    return a.SignalSentToRun(name=event.name, payload=event.payload, signal_id=event.signal_id)


def _update_in(event: e.UpdateAccepted, body: dict[str, Any]) -> a.UpdateSentToRun:
    return a.UpdateSentToRun(name=event.name, arg=event.arg, update_id=event.update_id)


def _start_in(event: e.WorkflowStarted, body: dict[str, Any]) -> a.StartRequest:
    return a.StartRequest(
        workflow_type=event.workflow_type,
        input=event.input,
        run_id=event.run_id,
        # Of the code that is loaded where it starts.
        package_version=None,
        random_seed=event.random_seed,
        parent=event.parent,
        attributes=event.attributes,
        memo=event.memo,
        not_before=event.not_before,
    )


def _parent_in(body: dict[str, Any]) -> e.ParentRef | None:
    parent = body.get("parent")
    return None if parent is None else e.ParentRef(**parent)


def _cancel_in(event: e.WorkflowCancelRequested, body: dict[str, Any]) -> a.CancelRequest:
    return a.CancelRequest(reason=event.reason, parent=_parent_in(body))


def _terminate_in(event: e.WorkflowTerminated, body: dict[str, Any]) -> a.TerminateRequest:
    return a.TerminateRequest(reason=event.reason, parent=_parent_in(body))


def _child_in(
    event: e.ChildWorkflowCompleted | e.ChildWorkflowFailed | e.ChildWorkflowCancelled,
    body: dict[str, Any],
) -> a.ChildEnded:
    outcome: a.ChildCompleted | a.ChildFailed | a.ChildCancelled
    match event:
        case e.ChildWorkflowCompleted(result=result):
            outcome = a.ChildCompleted(result)
        case e.ChildWorkflowFailed(error=error):
            outcome = a.ChildFailed(error)
        case e.ChildWorkflowCancelled(detail=detail):
            outcome = a.ChildCancelled(detail)
    return a.ChildEnded(
        run_id=RunId(body["run_id"]), child_key=ChildKey(event.child_key), outcome=outcome
    )


def _outcome_in(
    event: e.ActivityCompleted | e.ActivityFailed | e.ActivityCancelled, body: dict[str, Any]
) -> a.ActivityOutcome:
    outcome: a.AttemptCompleted | a.AttemptFailed | a.AttemptCancelled
    match event:
        case e.ActivityCompleted():
            outcome = a.AttemptCompleted(event.result)
        case e.ActivityFailed():
            outcome = a.AttemptFailed(event.error, bool(body["non_retryable"]))
        case e.ActivityCancelled():
            outcome = a.AttemptCancelled(event.detail, bool(body["attempt_ran"]))
    return a.ActivityOutcome(
        run_id=RunId(body["run_id"]),
        activity_id=ActivityId(event.activity_id),
        scheduled_seq=int(body["scheduled_seq"]),
        attempt=int(body["attempt"]),
        outcome=outcome,
        heartbeat=event.heartbeat if isinstance(event, e.ActivityFailed) else None,
    )


_KINDS: dict[type[a.Arrival], MessageKind] = {
    a.StartRequest: "start",
    a.SignalSentToRun: "signal",
    a.UpdateSentToRun: "update",
    a.CancelRequest: "cancel",
    a.TerminateRequest: "terminate",
    a.RetryRequest: "retry",
    a.SupplyRequest: "supply",
}

_READERS: dict[type[e.HistoryEvent], Callable[[Any, dict[str, Any]], a.Arrival]] = {
    e.SignalReceived: _signal_in,
    e.UpdateAccepted: _update_in,
    e.WorkflowStarted: _start_in,
    e.WorkflowCancelRequested: _cancel_in,
    e.WorkflowTerminated: _terminate_in,
    e.ChildWorkflowCompleted: _child_in,
    e.ChildWorkflowFailed: _child_in,
    e.ChildWorkflowCancelled: _child_in,
    e.ActivityCompleted: _outcome_in,
    e.ActivityFailed: _outcome_in,
    e.ActivityCancelled: _outcome_in,
}
