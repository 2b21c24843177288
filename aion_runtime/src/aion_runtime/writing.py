"""Writing: the steps of many runs in one transaction, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import attrs

from aion_core.contracts import Answer, Append, Message, StoreWriter
from aion_core.errors import FencedError, StoreError, WorkflowNotFoundError
from aion_core.events import HistoryEvent, UpdateCompleted, UpdateFailed
from aion_core.history.statuses import CLOSED_BY
from aion_core.ids import RunId, WorkflowId
from aion_core.machine.run import LATER, Refusal, Run, Step
from aion_core.machine.saying import LogLine
from aion_core.machine.updates import unanswered
from aion_core.making import maker
from aion_runtime.entries import Entry, Mail
from aion_runtime.replies import id_of_update, reply, reply_of_update

__all__ = ["Stepped", "answers_to", "is_undue", "replies_to_unanswered", "write_steps"]

_append = maker(Append)


@attrs.define(eq=False)
class Stepped:
    """A run that has taken a step, ahead of the disk.

    Attributes:
        posts: what the step has for other runs.
        answers: what it has for those outside who have asked.
        lines: what the code has said meanwhile, and which run of it.
    """

    entry: Entry
    mails: list[Mail]
    step: Step
    posts: Sequence[Message] = ()
    answers: Sequence[Answer] = ()
    lines: Sequence[tuple[RunId, LogLine]] = ()

    def append(self) -> Append | None:
        """What is to be written; None for nothing.

        Messages are consumed though what they bring is dropped, but not those that are undue.
        """
        consumed = [
            mail.message_id
            for mail, refusal in zip(self.mails, self.step.refusals, strict=False)
            if mail.message_id is not None and not is_undue(mail, refusal)
        ]
        if not self.step.events and not consumed and not self.posts:
            return None
        return _append(
            self.entry.workflow_id,
            self.step.events,
            self.step.expected_seq,
            consume=consumed,
            post=self.posts,
            answer=self.answers,
            changes=self.step.changes,
        )


def is_undue(mail: Mail, refusal: Refusal) -> bool:
    """Does what a message brings wait for the run that follows, or, when a run has sent it, for its
    workflow to start?
    """
    return refusal is LATER or (isinstance(refusal, WorkflowNotFoundError) and not mail.is_asked)


def answers_to(
    workflow_id: WorkflowId, run: Run, mails: Sequence[Mail], step: Step, now: datetime
) -> list[Answer]:
    """What a step has for those outside: whether it took what they sent, and how updates ended.

    Args:
        run: as it is after the step.
    """
    answers = [
        reply(mail.message_id, refusal, now)
        for mail, refusal in zip(mails, step.refusals, strict=True)
        if mail.is_asked and mail.message_id is not None and refusal is not LATER
    ]
    answers += [
        reply_of_update(event)
        for event in step.events
        if isinstance(event, UpdateCompleted | UpdateFailed)
    ]
    terminal = run.terminal
    if terminal is not None and any(event is terminal for event in step.events):
        answers += replies_to_unanswered(workflow_id, terminal, run.open_updates, now)
    return answers


def replies_to_unanswered(
    workflow_id: WorkflowId, terminal: HistoryEvent, updates: Iterable[str], now: datetime
) -> list[Answer]:
    """What the end of a run has for those whose updates have no end."""
    closed = unanswered(workflow_id, CLOSED_BY[type(terminal)].value)
    return [reply(id_of_update(workflow_id, each), closed, now) for each in updates]


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
