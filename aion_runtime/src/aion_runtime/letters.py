"""Letters: arrivals as messages in the store, for a run that cannot take them now.

Written with the codec of the events that they are going to be.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, assert_never

from aion_core import events as e
from aion_core.codec import decode_event, encode_event, kind_of
from aion_core.contracts import (
    EventStore,
    Message,
    RunRef,
    message_id_of,
    sent_message_id,
)
from aion_core.errors import CorruptHistoryError
from aion_core.ids import ActivityId, RunId, WorkflowId
from aion_core.machine.arrivals import (
    ActivityOutcome,
    Arrival,
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    SignalSentToRun,
)
from aion_core.payloads import JSON, Payload

__all__ = [
    "arrival_in",
    "outcome_message",
    "pending_messages",
    "signal_message",
]


def outcome_message(target: WorkflowId, outcome: ActivityOutcome, posted_at: datetime) -> Message:
    """The end of an attempt, as a message of the run to itself."""
    source = RunRef(target, outcome.run_id, outcome.scheduled_seq)
    event = _outcome_event(target, outcome, posted_at)
    body: dict[str, Any] = {
        "run_id": outcome.run_id,
        "scheduled_seq": outcome.scheduled_seq,
        "attempt": outcome.attempt,
    }
    match outcome.outcome:
        case AttemptFailed(non_retryable=non_retryable):
            body["non_retryable"] = non_retryable
        case AttemptCancelled(attempt_ran=attempt_ran):
            body["attempt_ran"] = attempt_ran
    return Message(
        message_id=message_id_of("outcome", source, target),
        kind="outcome",
        target=target,
        body=_written(body, event),
        posted_at=posted_at,
        source=source,
    )


def signal_message(target: WorkflowId, signal: SignalSentToRun, posted_at: datetime) -> Message:
    """A signal from outside."""
    event = e.SignalReceived(
        seq=1,
        recorded_at=posted_at,
        workflow_id=target,
        name=signal.name,
        payload=signal.payload,
        signal_id=signal.signal_id,
    )
    return Message(
        message_id=sent_message_id("signal", target, signal.signal_id),
        kind="signal",
        target=target,
        body=_written({}, event),
        posted_at=posted_at,
    )


def arrival_in(message: Message) -> Arrival | None:
    """What a message brings; None for a kind that this engine does not take.

    Raises:
        CorruptHistoryError: it cannot be read.
    """
    if message.kind not in ("signal", "outcome"):
        return None
    try:
        body = json.loads(message.body.data)
        event = decode_event(
            body["kind"],
            json.dumps(body["event"], ensure_ascii=False),
            seq=1,
            recorded_at=message.posted_at,
            workflow_id=message.target,
        )
        if isinstance(event, e.SignalReceived):
            return SignalSentToRun(
                name=event.name,
                payload=event.payload,
                signal_id=event.signal_id or message.message_id,
            )
        return ActivityOutcome(
            run_id=RunId(body["run_id"]),
            activity_id=_activity_of(event),
            scheduled_seq=int(body["scheduled_seq"]),
            attempt=int(body["attempt"]),
            outcome=_outcome_in(event, body),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptHistoryError(
            message.target, 0, f"message {message.message_id}", f"{type(error).__name__}: {error}"
        ) from error


async def pending_messages(store: EventStore, workflow_id: WorkflowId) -> set[str]:
    """Ids of the messages to a workflow that have not been consumed."""
    return {
        stored.message.message_id
        async for stored in store.all_messages()
        if stored.message.target == workflow_id
    }


Outcome = e.ActivityCompleted | e.ActivityFailed | e.ActivityCancelled


def _outcome_event(target: WorkflowId, outcome: ActivityOutcome, at: datetime) -> Outcome:
    match outcome.outcome:
        case AttemptCompleted(result):
            return e.ActivityCompleted(
                seq=1,
                recorded_at=at,
                workflow_id=target,
                activity_id=outcome.activity_id,
                result=result,
                attempt=outcome.attempt,
            )
        case AttemptFailed(failure):
            return e.ActivityFailed(
                seq=1,
                recorded_at=at,
                workflow_id=target,
                activity_id=outcome.activity_id,
                error=failure,
                attempt=outcome.attempt,
            )
        case AttemptCancelled(detail):
            return e.ActivityCancelled(
                seq=1,
                recorded_at=at,
                workflow_id=target,
                activity_id=outcome.activity_id,
                detail=detail,
            )
        case _:
            assert_never(outcome.outcome)


def _activity_of(event: e.HistoryEvent) -> ActivityId:
    if isinstance(event, Outcome):
        return event.activity_id
    raise ValueError(f"{kind_of(event)} is not the outcome of an attempt")


def _outcome_in(
    event: e.HistoryEvent, body: dict[str, Any]
) -> AttemptCompleted | AttemptFailed | AttemptCancelled:
    match event:
        case e.ActivityCompleted():
            return AttemptCompleted(event.result)
        case e.ActivityFailed():
            return AttemptFailed(event.error, bool(body["non_retryable"]))
        case e.ActivityCancelled():
            return AttemptCancelled(event.detail, bool(body["attempt_ran"]))
        case _:
            raise ValueError(f"{kind_of(event)} is not the outcome of an attempt")


def _written(body: dict[str, Any], event: e.HistoryEvent) -> Payload:
    body |= {"kind": kind_of(event), "event": json.loads(encode_event(event))}
    return Payload(JSON, json.dumps(body, ensure_ascii=False).encode())
