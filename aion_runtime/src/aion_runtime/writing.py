"""Writing: the steps of many runs in one transaction, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs

from aion_core.contracts import Append, Message, StoreWriter
from aion_core.errors import FencedError, StoreError, WorkflowNotFoundError
from aion_core.ids import RunId, WorkflowId
from aion_core.machine.run import LATER, Refusal, Step
from aion_core.machine.saying import LogLine
from aion_runtime.entries import Entry, Mail

__all__ = ["Stepped", "is_undue", "write_steps"]


@attrs.frozen
class Stepped:
    """A run that has taken a step, ahead of the disk.

    Attributes:
        posts: what the step has for other runs.
        lines: what the code has said meanwhile, and which run of it.
    """

    entry: Entry
    mails: list[Mail]
    step: Step
    posts: Sequence[Message] = ()
    lines: Sequence[tuple[RunId, LogLine]] = ()

    def append(self) -> Append | None:
        """What is to be written; None for nothing.

        Messages are consumed though what they bring is dropped, but not those that are undue.
        """
        consumed = [
            mail.message_id
            for mail, refusal in zip(self.mails, self.step.refusals, strict=False)
            if mail.message_id is not None and not is_undue(refusal)
        ]
        if not self.step.events and not consumed and not self.posts:
            return None
        return Append(
            self.entry.workflow_id,
            self.step.events,
            self.step.expected_seq,
            consume=consumed,
            post=self.posts,
        )


def is_undue(refusal: Refusal) -> bool:
    """Does what a message brings wait for its workflow to start, or for the run that follows?"""
    return refusal is LATER or isinstance(refusal, WorkflowNotFoundError)


async def write_steps(
    writer: StoreWriter, steps: Iterable[Stepped], on_fenced: Callable[[FencedError], None]
) -> dict[WorkflowId, StoreError]:
    """Append all steps; returns why one is not durable, or not known to be, by workflow."""
    appends = [append for append in map(Stepped.append, steps) if append is not None]
    if not appends:
        return {}
    try:
        refusals = await writer.append_many(appends)
    except FencedError as error:
        on_fenced(error)
        return {append.workflow_id: error for append in appends}
    except StoreError as error:
        return {append.workflow_id: error for append in appends}
    return {
        append.workflow_id: refusal
        for append, refusal in zip(appends, refusals, strict=True)
        if refusal is not None
    }
