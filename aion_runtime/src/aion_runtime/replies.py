"""Replies: what an engine answers to a message from outside, on its way through the store.

One of: taken; refused, with the error; the value of a query; the end of an update. They stay
readable for ever, since an engine of a later version may find answers of this one.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

from aion_core.codec import decode_event, encode_event, from_micros, kind_of, to_micros
from aion_core.contracts import Answer, sent_message_id
from aion_core.errors import (
    ActivityNotFoundError,
    ActivityNotHeldError,
    AionError,
    CorruptHistoryError,
    InvalidIdError,
    PayloadError,
    QueryError,
    StoreError,
    UnknownWorkflowTypeError,
    UpdateRejectedError,
    WorkflowAlreadyStartedError,
    WorkflowClosedError,
    WorkflowNotFoundError,
    WorkflowStuckError,
    WorkflowUsageError,
)
from aion_core.events import UpdateCompleted, UpdateFailed
from aion_core.ids import WorkflowId
from aion_core.payloads import JSON, Payload

__all__ = [
    "ending_of_update",
    "id_of_update",
    "raise_refusal",
    "reply",
    "reply_of_update",
    "reply_with",
    "value_in",
]

_ERRORS: dict[str, type[AionError]] = {
    cls.__name__: cls
    for cls in (
        ActivityNotFoundError,
        ActivityNotHeldError,
        CorruptHistoryError,
        InvalidIdError,
        PayloadError,
        QueryError,
        StoreError,
        UnknownWorkflowTypeError,
        UpdateRejectedError,
        WorkflowAlreadyStartedError,
        WorkflowClosedError,
        WorkflowNotFoundError,
        WorkflowStuckError,
        WorkflowUsageError,
    )
}
"""What an engine may have against a message. Of any other class the text alone arrives."""


def reply(message_id: str, refusal: AionError | None, at: datetime) -> Answer:
    """What was asked is done, or refused."""
    if refusal is None:
        return _answer(message_id, {}, at)
    fields = {name: value for name, value in vars(refusal).items() if _is_plain(value)}
    error = {"class": type(refusal).__name__, "text": _text(str(refusal)), "fields": fields}
    return _answer(message_id, {"error": error}, at)


def reply_with(message_id: str, value: Payload, at: datetime) -> Answer:
    """What a query has found."""
    return _answer(message_id, {"value": _written(value)}, at)


def id_of_update(workflow_id: WorkflowId, update_id: str) -> str:
    """Under which id the end of an update is told.

    Another than that of the message which asked for it: what was said to one sending of an update,
    such as that it is refused, is not for the next.
    """
    return sent_message_id("update", workflow_id, update_id)


def reply_of_update(event: UpdateCompleted | UpdateFailed) -> Answer:
    """How an update has ended.

    Of all updates, since nothing recorded says who has asked for one: it may have been a client
    of the engine before this one.
    """
    body = {
        "kind": kind_of(event),
        "seq": event.seq,
        "recorded_at": to_micros(event.recorded_at),
        "event": json.loads(encode_event(event)),
    }
    return _answer(id_of_update(event.workflow_id, event.update_id), body, event.recorded_at)


def raise_refusal(answer: Answer) -> None:
    """Raise what the engine had against it, if anything."""
    error = _read(answer).get("error")
    if error is None:
        return
    cls = _ERRORS.get(error["class"], AionError)
    # Its constructor makes the text of its facts; here the text is known.
    refusal = cls.__new__(cls)
    Exception.__init__(refusal, error["text"])
    if cls is not AionError:
        vars(refusal).update(error["fields"])
    raise refusal


def value_in(answer: Answer) -> Payload:
    """What a query has found. Raises its refusal."""
    raise_refusal(answer)
    value = _read(answer)["value"]
    if "text" in value:
        return Payload(JSON, value["text"].encode())
    return Payload(value["type"], base64.b64decode(value["base64"]))


def ending_of_update(answer: Answer, workflow_id: WorkflowId) -> UpdateCompleted | UpdateFailed:
    """How an update has ended. Raises what came before its end."""
    raise_refusal(answer)
    body = _read(answer)
    event = decode_event(
        body["kind"],
        json.dumps(body["event"], ensure_ascii=False),
        seq=body["seq"],
        recorded_at=from_micros(body["recorded_at"]),
        workflow_id=workflow_id,
    )
    assert isinstance(event, UpdateCompleted | UpdateFailed)
    return event


def _answer(message_id: str, body: dict[str, Any], at: datetime) -> Answer:
    data = json.dumps(body, ensure_ascii=False).encode()
    return Answer(message_id=message_id, body=Payload(JSON, data), answered_at=at)


def _read(answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answer.body.data)
    return body


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return value == _text(value)
    return value is None or isinstance(value, bool | int | float)


def _text(text: str) -> str:
    # Half a surrogate pair must not cost the answer.
    return text.encode("utf-8", "backslashreplace").decode()


def _written(value: Payload) -> dict[str, str]:
    if value.content_type == JSON:
        try:
            return {"text": value.data.decode()}
        except UnicodeDecodeError:
            pass
    return {"type": value.content_type, "base64": base64.b64encode(value.data).decode()}
