"""Replying: an answer to a message from outside, by an append without events."""

from __future__ import annotations

from collections.abc import Sequence

from aion_core.contracts import Answer, Append, EventStore, StoreWriter
from aion_core.errors import MessageGoneError, SequenceConflictError
from aion_core.ids import WorkflowId

__all__ = ["write_answers"]


async def write_answers(
    store: EventStore,
    writer: StoreWriter,
    target: WorkflowId,
    answers: Sequence[Answer],
    *,
    consume: str | None,
) -> None:
    """Keep answers, and with ``consume`` take the message out that they answer.

    Only by this is it sure that no other engine has the store by now. A message that is gone has
    been answered.

    Raises:
        StoreError: as `StoreWriter.append_many`.
    """
    while True:
        summary = await store.read_summary(target)
        append = Append(
            target,
            (),
            0 if summary is None else summary.events,
            consume=() if consume is None else (consume,),
            answer=answers,
        )
        (refusal,) = await writer.append_many([append])
        if refusal is None or isinstance(refusal, MessageGoneError):
            return
        # A run that is at work has got further meanwhile.
        if not isinstance(refusal, SequenceConflictError):
            raise refusal
