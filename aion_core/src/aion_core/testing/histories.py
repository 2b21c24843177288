"""Histories to write into a store: valid events told in a few words, and what goes with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar

from aion_core import events as e
from aion_core.contracts import (
    EVERYTHING,
    Answer,
    Append,
    EventStore,
    Message,
    MessageKind,
    RunFilter,
    RunRef,
    StoreWriter,
)
from aion_core.failures import Failure
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.policies import ActivityOptions, Limit
from aion_core.values import Attributes

__all__ = [
    "FAILURE",
    "Opener",
    "Story",
    "all_runs",
    "answer",
    "at",
    "message",
    "only",
    "payload",
    "sent_by",
    "write",
]

Row = TypeVar("Row")

Opener: TypeAlias = Callable[[], AbstractAsyncContextManager[EventStore]]
"""Opens one and the same store, as often as it is called."""

FAILURE = Failure(type="Declined", message="no money", kind="retryable")


def at(seconds: float) -> datetime:
    """An instant, counted from the beginning of all stories."""
    return datetime(2024, 3, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def payload(json: str) -> Payload:
    """A value, given as JSON."""
    return Payload(JSON, json.encode())


def message(
    message_id: str,
    target: str = "w",
    *,
    kind: MessageKind = "signal",
    body: str = "null",
    source: RunRef | None = None,
) -> Message:
    """A message to a workflow; its body is given as JSON."""
    return Message(
        message_id=message_id,
        kind=kind,
        target=WorkflowId(target),
        body=payload(body),
        posted_at=at(0),
        source=source,
    )


def sent_by(workflow_id: str, seq: int, run_id: str = "run") -> RunRef:
    """The event of a story, as the source of a message."""
    return RunRef(WorkflowId(workflow_id), RunId(run_id), seq)


def answer(message_id: str, *, body: str = "true", answered_at: float = 0) -> Answer:
    """An answer; ``answered_at`` as for `at`."""
    return Answer(message_id=message_id, body=payload(body), answered_at=at(answered_at))


def only(rows: Sequence[Row]) -> Row:
    """The one row that there is."""
    assert len(rows) == 1, f"one row is expected, not {list(rows)}"
    return rows[0]


async def write(writer: StoreWriter, *stories: Story) -> None:
    """Append what is new in these stories, in one transaction; nothing may be refused."""
    refusals = await writer.append_many([story.append() for story in stories])
    assert list(refusals) == [None] * len(stories)


async def all_runs(
    store: EventStore, limit: int, filter: RunFilter = EVERYTHING
) -> list[WorkflowId]:
    """Ids of the workflows in a list, read by pages."""
    found: list[WorkflowId] = []
    cursor: str | None = None
    while True:
        page = await store.list_runs(filter, limit=limit, cursor=cursor)
        assert len(page.runs) <= limit
        found += [run.workflow_id for run in page.runs]
        cursor = page.cursor
        if cursor is None:
            return found
        assert page.runs, "a page with a page behind it is not empty"


class Story:
    """The history of one workflow, told event by event; `append` takes what is new.

    Attributes:
        events: all that has been told.
        taken: how many of them an `append` has.
        now: when the next event is recorded.
        run_id: of the run that goes on.
    """

    def __init__(self, workflow_id: str = "w") -> None:
        self.workflow_id = WorkflowId(workflow_id)
        self.events: list[e.HistoryEvent] = []
        self.taken = 0
        self.now = at(0)
        self.run_id = RunId("run")

    @property
    def head(self) -> int:
        """Seq of the last event, 0 before the first."""
        return len(self.events)

    def append(
        self,
        *,
        consume: Sequence[str] = (),
        post: Sequence[Message] = (),
        answer: Sequence[Answer] = (),
    ) -> Append:
        """Everything since the last call, perhaps no events."""
        events = tuple(self.events[self.taken :])
        append = Append(self.workflow_id, events, self.taken, consume, post, answer)
        self.taken = self.head
        return append

    def of(self, seqs: Iterable[int]) -> list[e.HistoryEvent]:
        """Single events, by seq."""
        return [self.events[seq - 1] for seq in seqs]

    def started(
        self,
        *,
        at: datetime | None = None,
        run_id: str = "run",
        type: str = "order",
        continued_from: str | None = None,
        parent: e.ParentRef | None = None,
        attributes: Attributes | None = None,
    ) -> Story:
        """A run begins; what follows is recorded at the same instant."""
        if at is not None:
            self.now = at
        self.run_id = RunId(run_id)
        return self._add(
            e.WorkflowStarted,
            workflow_type=type,
            input=payload("{}"),
            run_id=self.run_id,
            continued_from=continued_from,
            package_version=e.UNVERSIONED,
            random_seed=7,
            parent=parent,
            attributes=attributes,
        )

    def completed(self) -> Story:
        return self._add(e.WorkflowCompleted, result=payload("null"))

    def failed(self, error: Failure = FAILURE) -> Story:
        return self._add(e.WorkflowFailed, error=error)

    def cancelled(self, reason: str = "no longer wanted") -> Story:
        return self._add(e.WorkflowCancelled, reason=reason)

    def terminated(self, reason: str = "in the way") -> Story:
        return self._add(e.WorkflowTerminated, reason=reason)

    def timed_out(self) -> Story:
        return self._add(e.WorkflowTimedOut, timeout="run")

    def continued(self, run_id: str) -> Story:
        """The run ends, and another begins at once."""
        before = self.run_id
        self._add(e.WorkflowContinuedAsNew, input=payload("{}"), successor_run_id=RunId(run_id))
        return self.started(run_id=run_id, continued_from=before)

    def paused(self) -> Story:
        return self._add(e.WorkflowPaused, run_id=self.run_id)

    def resumed(self) -> Story:
        return self._add(e.WorkflowResumed, run_id=self.run_id)

    def reopened(
        self,
        from_seq: int,
        activities: Sequence[e.ReopenedActivity] = (),
        timers: Sequence[e.TimerRow] = (),
    ) -> Story:
        return self._add(
            e.WorkflowReopened,
            run_id=self.run_id,
            from_seq=from_seq,
            reopened=tuple(activities),
            timers=tuple(timers),
        )

    def attributes(self, **attributes: Any) -> Story:
        return self._add(
            e.SearchAttributesUpdated, position=f"attributes:{self.head}", attributes=attributes
        )

    def scheduled(
        self, activity_id: str, type: str = "charge", *, limit: Limit | None = None
    ) -> Story:
        return self._add(
            e.ActivityScheduled,
            activity_id=ActivityId(activity_id),
            activity_type=type,
            input=payload("{}"),
            options=ActivityOptions(limit=limit),
        )

    def delivered(self, activity_id: str, attempt: int = 1, delivery: int = 1) -> Story:
        return self._add(
            e.ActivityStarted,
            activity_id=ActivityId(activity_id),
            attempt=attempt,
            delivery=delivery,
        )

    def activity_completed(self, activity_id: str, attempt: int = 1) -> Story:
        return self._add(
            e.ActivityCompleted,
            activity_id=ActivityId(activity_id),
            result=payload("1"),
            attempt=attempt,
        )

    def activity_failed(
        self,
        activity_id: str,
        attempt: int = 1,
        *,
        next_attempt_at: datetime | None = None,
        held: bool = False,
    ) -> Story:
        return self._add(
            e.ActivityFailed,
            activity_id=ActivityId(activity_id),
            error=FAILURE,
            attempt=attempt,
            next_attempt_at=next_attempt_at,
            held=held,
        )

    def cancel_requested(self, activity_id: str) -> Story:
        return self._add(e.ActivityCancelRequested, activity_id=ActivityId(activity_id))

    def activity_cancelled(self, activity_id: str) -> Story:
        return self._add(e.ActivityCancelled, activity_id=ActivityId(activity_id), attempt=1)

    def timer(self, timer_id: str, fire_at: datetime) -> Story:
        return self._add(e.TimerStarted, timer_id=TimerId(timer_id), fire_at=fire_at)

    def fired(self, timer_id: str, started_seq: int) -> Story:
        return self._add(e.TimerFired, timer_id=TimerId(timer_id), started_seq=started_seq)

    def timer_cancelled(self, timer_id: str) -> Story:
        return self._add(e.TimerCancelled, timer_id=TimerId(timer_id))

    def signal(self, name: str = "approve", json: str = "true", id: str | None = None) -> Story:
        return self._add(e.SignalReceived, name=name, payload=payload(json), signal_id=id)

    def signals(self, count: int) -> Story:
        for number in range(count):
            self.signal(json=str(number))
        return self

    def update(self, update_id: str) -> Story:
        return self._add(e.UpdateAccepted, update_id=update_id, name="set", arg=payload("1"))

    def _add(self, cls: type[e.HistoryEvent], **fields: Any) -> Story:
        self.events.append(
            cls(seq=self.head + 1, recorded_at=self.now, workflow_id=self.workflow_id, **fields)
        )
        return self
