"""Messages: what one run, or somebody outside, wants a workflow to know.

A row in the store: posted in the sender's append, or by `EventStore.post` from outside, and
consumed in the append that makes it an event of the receiver. So it is taken exactly once.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Literal, cast, get_args

import attrs

from aion_core.errors import InvalidIdError
from aion_core.ids import RunId, WorkflowId
from aion_core.payloads import JSON, Payload

__all__ = [
    "Answer",
    "Message",
    "MessageKind",
    "RunRef",
    "StoredMessage",
    "UnreadableMessage",
    "message_id_of",
    "sent_message_id",
    "unreadable_message",
]

MessageKind = Literal[
    "start",
    "signal",
    "update",
    "cancel",
    "terminate",
    "query",
    "retry",
    "supply",
    "outcome",
    "child outcome",
    "child cancel",
    "parent closed",
]
"""What a message asks for. ``outcome`` is of an attempt whose run could not be activated."""

_KINDS = frozenset(get_args(MessageKind))


@attrs.frozen
class RunRef:
    """An event of a run, as the source of a message."""

    workflow_id: WorkflowId
    run_id: RunId
    seq: int


def _printable(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not value or not value.isprintable():
        raise InvalidIdError(f"{attribute.name} {value!r} must be non-empty printable text")


def _known(instance: Message, attribute: attrs.Attribute[MessageKind], value: str) -> None:
    # One that no engine understands would wait, and be in its way, for ever.
    if value not in _KINDS:
        raise ValueError(f"message {instance.message_id!r} is of the unknown kind {value!r}")


@attrs.frozen(kw_only=True)
class Message:
    """A message to one workflow.

    Attributes:
        message_id: unique in the store, and the key of the answer: `message_id_of` its source, or
            `sent_message_id` of what its sender outside calls it.
        target: the workflow that is to take it.
        body: what its kind needs, as JSON.
        source: the event by which a run sent it; None from outside.

    Raises:
        InvalidIdError: the message id cannot be one.
        ValueError: there is no such kind.
    """

    message_id: str = attrs.field(validator=_printable)
    kind: MessageKind = attrs.field(validator=_known)
    target: WorkflowId
    body: Payload
    posted_at: datetime
    source: RunRef | None = None


@attrs.frozen(kw_only=True)
class UnreadableMessage(Message):
    """What is left of a message that cannot be read: its row is damaged, or of a later version.

    It stands in the place of the message, so that the others can be taken. Whoever gets it leaves
    it where it is. Got from `unreadable_message`.

    Attributes:
        kind: whatever stands there.
        reason: why it cannot be read.
    """

    message_id: str
    kind: MessageKind
    reason: str


@attrs.frozen
class StoredMessage:
    """A message that waits in the store.

    Attributes:
        position: its place among all messages, ascending in the order of posting; never given
            twice.
    """

    position: int
    message: Message


@attrs.frozen(kw_only=True)
class Answer:
    """What became of a message from outside.

    Attributes:
        message_id: which message.
        body: the answer, as JSON.
        answered_at: for the retention of answers.
    """

    message_id: str
    body: Payload
    answered_at: datetime


def message_id_of(kind: MessageKind, source: RunRef, target: WorkflowId) -> str:
    """The id of a run's message: posted twice, it is one message."""
    return _digest([kind, source.workflow_id, source.run_id, source.seq, target])


def sent_message_id(kind: MessageKind, target: WorkflowId, sender_id: str) -> str:
    """The id of a message from outside: sent again under the same id, it is one message.

    Args:
        sender_id: what its sender calls it, uniquely in its workflow: the ``signal_id`` of a signal
            that an engine keeps, the ``update_id`` of the end of an update, and for what a client
            posts another one each time, since what was answered once is not for the next sending.
    """
    return _digest([kind, target, sender_id])


def unreadable_message(
    message_id: object, kind: object, target: object, error: Exception
) -> UnreadableMessage:
    """What a store hands on for a row that it cannot read as a message.

    Args:
        message_id: what stands in the row, as is what follows.
        error: why it cannot be read.
    """
    return UnreadableMessage(
        message_id=str(message_id),
        kind=cast("MessageKind", str(kind)),
        target=WorkflowId(str(target)),
        body=Payload(JSON, b""),
        posted_at=datetime.min.replace(tzinfo=UTC),
        reason=str(error),
    )


def _digest(parts: list[object]) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
