"""Messages that wait, and the answers given to those from outside."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from datetime import datetime

from aion_core.codec import to_micros
from aion_core.contracts import Answer, Message, StoredMessage
from aion_core.errors import MessageGoneError, StoreError
from aion_core.ids import WorkflowId
from aion_core.payloads import Payload

__all__ = ["Mailbox", "require_storable"]


class Mailbox:
    """All messages of a store, in order of posting, and its answers."""

    def __init__(self) -> None:
        self._pending: dict[str, StoredMessage] = {}
        self._answers: dict[str, Answer] = {}
        self._last_position = 0

    @property
    def pending(self) -> int:
        """How many messages wait."""
        return len(self._pending)

    @property
    def answered(self) -> int:
        """How many answers are kept."""
        return len(self._answers)

    def post(self, message: Message) -> None:
        """Add a message; one that waits, or is answered, changes nothing."""
        message_id = message.message_id
        if message_id in self._pending or message_id in self._answers:
            return
        self._last_position += 1
        self._pending[message_id] = StoredMessage(self._last_position, message)

    def require_pending(self, workflow_id: WorkflowId, message_ids: Sequence[str]) -> None:
        """Refuse to consume what cannot be.

        Raises:
            MessageGoneError: one does not wait, not for this workflow, or is named twice.
        """
        taken: set[str] = set()
        for message_id in message_ids:
            stored = self._pending.get(message_id)
            if stored is None or stored.message.target != workflow_id or message_id in taken:
                raise MessageGoneError(workflow_id, message_id)
            taken.add(message_id)

    def consume(self, message_ids: Sequence[str]) -> None:
        """Take messages out."""
        for message_id in message_ids:
            del self._pending[message_id]

    def page(self, after: int, limit: int) -> list[StoredMessage]:
        """Messages behind a position."""
        rows = list(self._pending.values())
        first = bisect.bisect_right(rows, after, key=lambda stored: stored.position)
        return rows[first : first + limit]

    def answer(self, answer: Answer) -> None:
        """Keep an answer."""
        self._answers[answer.message_id] = answer

    def fetch(self, message_id: str) -> Answer | None:
        """The answer to a message, if there is one."""
        return self._answers.get(message_id)

    def forget(self, answered_to: datetime) -> int:
        """Delete answers given at that instant or before; returns how many."""
        old = [each for each in self._answers.values() if each.answered_at <= answered_to]
        for answer in old:
            del self._answers[answer.message_id]
        return len(old)


def require_storable(row: Message | Answer) -> None:
    """Refuse what a file could not hold, as every store does.

    Raises:
        StoreError: a text is half a surrogate pair, or an instant is none.
    """
    texts = [row.message_id]
    if isinstance(row, Answer):
        at = row.answered_at
    else:
        at = row.posted_at
        texts += [row.kind, row.target]
        if row.source is not None:
            texts += [row.source.workflow_id, row.source.run_id]
    try:
        _require_bytes(row.body)
        to_micros(at)
        "".join(texts).encode()
    except (TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"message {row.message_id!r} cannot be stored: {error!r}") from error


def _require_bytes(body: Payload) -> None:
    body.content_type.encode()
    bytes(memoryview(body.data))
