"""Explaining: why a run does not go on, from what the store holds and, if one answers, an engine.

The store knows of timers, activities, children and messages. What the code awaits besides, signals
by name and conditions, only an engine can tell that has the run's code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

import attrs

from aion_core import events as e
from aion_core.contracts import EventStore, UnreadableMessage
from aion_core.errors import (
    NoAnswerError,
    QueryError,
    StoreUnavailableError,
    WorkflowNotFoundError,
    WorkflowStuckError,
)
from aion_core.history import ActivityRow, RunProjection, TimerRow, WorkflowSummary
from aion_core.ids import START_TIMER, ActivityId, ChildKey, RunId, WorkflowId
from aion_core.machine.waits import Wait
from aion_core.status import WorkflowStatus
from aion_runtime.wording import EngineState, PendingFor, sentence

__all__ = ["EngineState", "Explanation", "PendingFor", "explain_run"]

AskWaits: TypeAlias = Callable[[], Awaitable[Sequence[Wait]]]
"""Asks an engine what the code of the run awaits. Raises `NoAnswerError` and what queries raise."""

AskBegun: TypeAlias = Callable[[], Awaitable[Sequence[str]]]
"""Asks an engine which activities have begun, by id. Raises the same."""

OVERDUE = timedelta(seconds=2)
"""An engine at work is never so late."""


@attrs.frozen(kw_only=True)
class Explanation:
    """Why a run does not go on, or that it has ended. ``str()`` of it says it in sentences.

    Attributes:
        run_id: of the newest run, as all that follows.
        since: when the last event was recorded.
        reason: why it failed, was ended from outside, is paused, or is stuck.
        waits: what it waits for: what happens first comes first, and last what only others bring.
        messages: how many messages to it wait in the store, by kind, queries left out.
        engine: ``answered``, ``silent`` when none did in time, or ``not asked``.
        overdue: something is due that no engine has done: none seems to run on this store.
        asked_at: the instant of all of this.
    """

    workflow_id: WorkflowId
    run_id: RunId
    workflow_type: str
    status: WorkflowStatus
    since: datetime
    reason: str | None = None
    stuck: bool = False
    waits: tuple[PendingFor, ...] = ()
    messages: dict[str, int] = attrs.Factory(dict)
    engine: EngineState = "not asked"
    overdue: bool = False
    asked_at: datetime

    @property
    def next_at(self) -> datetime | None:
        """When something happens by itself; None when nothing does."""
        return min((wait.next_at for wait in self.waits if wait.next_at is not None), default=None)

    def sentences(self) -> list[str]:
        """The same for people: first how it stands, then a sentence for each thing it waits for."""
        if self.status.is_closed:
            because = "" if self.reason is None else f": {self.reason}"
            return [f"it has ended ({self.status.value}){because}; it waits for nothing"]
        return list(self._open_sentences())

    def _open_sentences(self) -> Iterator[str]:
        if self.stuck:
            yield (
                f"it is stuck: {self.reason}; it goes on by itself in an engine with fitting code, "
                "and can be terminated"
            )
        elif self.status is WorkflowStatus.PAUSED:
            because = "" if self.reason is None else f" ({self.reason})"
            yield f"it is paused{because}, and goes on when it is resumed"
        for wait in self.waits:
            yield sentence(wait, self.asked_at, self.engine)
        if self.messages:
            found = ", ".join(f"{count} × {kind}" for kind, count in self.messages.items())
            yield f"messages to it wait in the store ({found}) until an engine takes them"
        if self.engine == "not asked" and not self.waits and not self.stuck:
            yield "it waits for what only its code knows: a signal, or a condition"
        if self.engine == "silent":
            yield (
                "no engine has answered, so none seems to run on this store with this workflow's "
                "code; start one, which also tells what signals and conditions are awaited"
            )
        elif self.overdue:
            yield (
                "what was due has not been done, so no engine seems to run on this store; start "
                "one with this workflow's code"
            )

    def __str__(self) -> str:
        return "\n".join(self.sentences())


async def explain_run(
    store: EventStore,
    workflow_id: WorkflowId,
    now: datetime,
    ask: AskWaits | None = None,
    ask_begun: AskBegun | None = None,
) -> Explanation:
    """Find out what a workflow's newest run waits for.

    Args:
        ask: asks an engine; None explains by the store alone.
        ask_begun: asks one that has answered, if an activity may be running; None cannot tell
            whether it is, or waits for its turn.

    Raises:
        WorkflowNotFoundError: there is no such workflow.
        CorruptHistoryError: its history cannot be read.
    """
    history = await store.read_history(workflow_id)
    summary = await store.read_summary(workflow_id)
    if not history or summary is None:
        raise WorkflowNotFoundError(workflow_id)
    if summary.status.is_closed:
        return _explanation(summary, history, now)
    asked = await _ask(ask, summary)
    facts = _Facts(workflow_id, history, now)
    waits = await _with_begun(tuple(facts.waits()), asked, ask_begun)
    waits += [each async for each in _children(store, facts)]
    waits.sort(key=lambda wait: (wait.next_at is None, wait.next_at or now))
    waits += _code_waits(asked.waits, history[-1].recorded_at, len(waits))
    messages, oldest = await _messages(store, workflow_id)
    # A start may wait for its slot, and an attempt that was due may be running.
    late = [wait.next_at for wait in waits if wait.kind == "timer" and wait.next_at is not None]
    late += [] if oldest is None else [oldest]
    stuck = asked.stuck or summary.stuck
    return _explanation(
        attrs.evolve(summary, stuck=stuck),
        history,
        now,
        waits=tuple(waits),
        messages=messages,
        engine=asked.state,
        # What waits for a stuck or paused run is late for another reason.
        overdue=stuck is None
        and summary.status is WorkflowStatus.RUNNING
        and asked.state != "answered"
        and any(at < now - OVERDUE for at in late),
    )


def _explanation(
    summary: WorkflowSummary, history: Sequence[e.HistoryEvent], now: datetime, **found: Any
) -> Explanation:
    paused = next((each for each in reversed(history) if isinstance(each, e.WorkflowPaused)), None)
    reason = summary.stuck or summary.failure_reason
    if reason is None and summary.status is WorkflowStatus.PAUSED and paused is not None:
        reason = paused.reason
    return Explanation(
        workflow_id=summary.workflow_id,
        run_id=summary.run_id,
        workflow_type=summary.workflow_type,
        status=summary.status,
        since=history[-1].recorded_at,
        reason=reason,
        stuck=summary.stuck is not None,
        asked_at=now,
        **found,
    )


@attrs.frozen
class _Asked:
    state: EngineState
    waits: Sequence[Wait] = ()
    stuck: str | None = None


async def _ask(ask: AskWaits | None, summary: WorkflowSummary) -> _Asked:
    # An engine does not bring a stuck run into memory to be asked, and has nothing to say of it.
    if ask is None or summary.stuck is not None:
        return _Asked("not asked")
    try:
        return _Asked("answered", await ask())
    except NoAnswerError:
        return _Asked("silent")
    except StoreUnavailableError:  # the question cannot be written; the store can be read
        return _Asked("not asked")
    except WorkflowStuckError as error:
        return _Asked("answered", stuck=error.reason)
    except QueryError:  # its code has not begun, or it has ended meanwhile
        return _Asked("answered")


async def _with_begun(
    waits: Sequence[PendingFor], asked: _Asked, ask_begun: AskBegun | None
) -> list[PendingFor]:
    """With what the engine says of activities of which no event tells whether they run."""
    is_asked = asked.state == "answered" and any(wait.kind == "activity" for wait in waits)
    if ask_begun is None or not is_asked:
        return list(waits)
    try:
        begun = frozenset(await ask_begun())
    except (NoAnswerError, StoreUnavailableError, WorkflowStuckError, QueryError):
        return list(waits)  # it has stopped meanwhile, or is of a version that does not know
    return [
        attrs.evolve(wait, is_running=wait.id in begun) if wait.kind == "activity" else wait
        for wait in waits
    ]


class _Facts:
    """What the history of the newest run says of things that have no outcome yet."""

    def __init__(
        self, workflow_id: WorkflowId, history: Sequence[e.HistoryEvent], now: datetime
    ) -> None:
        self._rows = RunProjection(workflow_id, history)
        self._now = now
        self._scheduled: dict[ActivityId, e.ActivityScheduled] = {}
        self._begun: dict[ActivityId, datetime] = {}
        self._failed: dict[ActivityId, e.ActivityFailed] = {}
        self._timers: dict[int, datetime] = {}
        self._updates: dict[str, e.UpdateAccepted] = {}
        self.children: dict[ChildKey, e.ChildWorkflowStarted] = {}
        for event in history:
            self._take(event)

    def waits(self) -> Iterator[PendingFor]:
        """What has rows, or began and has not ended; children apart."""
        for timer in self._rows.timers.values():
            yield self._timer(timer)
        for activity in self._rows.activities.values():
            yield self._activity(activity)
        for update in self._updates.values():
            yield PendingFor(
                kind="update", name=update.name, id=update.update_id, since=update.recorded_at
            )

    def _take(self, event: e.HistoryEvent) -> None:
        match event:
            case e.WorkflowStarted():
                self.children.clear()
                self._updates.clear()
            case e.ActivityScheduled(activity_id=activity_id):
                self._scheduled[activity_id] = event
                self._begun[activity_id] = event.recorded_at
                self._failed.pop(activity_id, None)
            case e.ActivityStarted(activity_id=activity_id):
                self._begun[activity_id] = event.recorded_at
            case e.ActivityFailed(activity_id=activity_id):
                self._failed[activity_id] = event
                self._begun[activity_id] = event.next_attempt_at or event.recorded_at
            case e.TimerStarted():
                self._timers[event.seq] = event.recorded_at
            case e.UpdateAccepted():
                self._updates[event.update_id] = event
            case e.UpdateCompleted() | e.UpdateFailed():
                self._updates.pop(event.update_id, None)
            case e.ChildWorkflowStarted():
                self.children[event.child_key] = event
            case e.ChildWorkflowCompleted() | e.ChildWorkflowFailed() | e.ChildWorkflowCancelled():
                self.children.pop(event.child_key, None)

    def _timer(self, timer: TimerRow) -> PendingFor:
        return PendingFor(
            kind="start" if timer.timer_id == START_TIMER else "timer",
            name=timer.timer_id.removeprefix("timer:named:"),
            id=timer.timer_id,
            since=self._timers.get(timer.started_seq),
            next_at=timer.fire_at,
        )

    def _activity(self, row: ActivityRow) -> PendingFor:
        failed = self._failed.get(row.activity_id)
        scheduled = self._scheduled.get(row.activity_id)
        limit = None if scheduled is None else scheduled.options.limit
        since = self._begun.get(row.activity_id)
        waits_until = row.next_attempt_at
        if waits_until is not None and waits_until <= self._now:
            waits_until = None  # by now it runs, if an engine does; no event says so
        kind: Literal["held", "retry", "activity"] = "activity"
        if row.held:
            kind = "held"
        elif waits_until is not None:
            kind = "retry"
        return PendingFor(
            kind=kind,
            name=row.activity_type,
            id=row.activity_id,
            since=since,
            next_at=waits_until,
            attempt=row.attempt,
            failure=None if failed is None else f"{failed.error.type}: {failed.error.message}",
            limit=None if limit is None else limit.name,
            cancel_requested=row.cancel_requested,
            deadline=row.deadline,
        )


async def _children(store: EventStore, facts: _Facts) -> AsyncIterator[PendingFor]:
    for started in facts.children.values():
        child = await store.read_summary(started.child_workflow_id)
        status = "not started yet" if child is None else child.status.value
        yield PendingFor(
            kind="child",
            name=started.workflow_type,
            id=started.child_workflow_id,
            since=started.recorded_at,
            failure=None if child is None else child.stuck or child.failure_reason,
            status=status,
        )


def _code_waits(waits: Sequence[Wait], since: datetime, known: int) -> Iterator[PendingFor]:
    """What only the code knows; where it merely stands, only if that says something new."""
    named = [wait for wait in waits if wait.kind != "task"]
    for wait in named or ([] if known else waits):
        place = "" if wait.file is None else f"{wait.file}:{wait.line}"
        yield PendingFor(kind=wait.kind, name=wait.name, since=since, place=place)


async def _messages(
    store: EventStore, workflow_id: WorkflowId
) -> tuple[dict[str, int], datetime | None]:
    """Messages that wait, by kind, and since when the oldest does.

    Questions change nothing, and the one that asks this may be among them.
    """
    found: Counter[str] = Counter()
    oldest: datetime | None = None
    async for stored in store.all_messages():
        message = stored.message
        if message.target == workflow_id and message.kind != "query":
            if isinstance(message, UnreadableMessage):
                found["unreadable"] += 1
                continue  # no engine of this version takes it, so none is late
            found[message.kind] += 1
            oldest = oldest or message.posted_at
    return dict(found), oldest
