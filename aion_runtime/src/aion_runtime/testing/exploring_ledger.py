"""The ledger of an exploration: what is durable, as the store was told, and who did what when.

It is kept beside the store, commit by commit, and outlives all crashes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import attrs

from aion_core import events as e
from aion_core.authoring.activities import ActivityInfo
from aion_core.history import ActivityRow, RunProjection
from aion_core.ids import ActivityId, RunId, WorkflowId, named_timer

__all__ = ["AttemptKey", "Ledger"]

_FIRST = datetime.min.replace(tzinfo=UTC)


@attrs.frozen
class AttemptKey:
    """One attempt of one activity of one run."""

    workflow_id: WorkflowId
    run_id: RunId
    activity_id: ActivityId
    attempt: int

    @classmethod
    def of(cls, info: ActivityInfo) -> AttemptKey:
        """That of an attempt under way."""
        return cls(info.workflow_id, info.run_id, info.activity_id, info.attempt)

    def __str__(self) -> str:
        return f"attempt {self.attempt} of {self.activity_id} of workflow {self.workflow_id!r}"


class Ledger:
    """What is durable, and how often each attempt was made.

    Attributes:
        executions: how often an attempt was begun, over all crashes.
        violations: what an engine did that it must not do, whatever else comes of it.
    """

    def __init__(self) -> None:
        self._states: dict[WorkflowId, RunProjection] = {}
        self._cancel_requested: set[WorkflowId] = set()
        self._answered: set[tuple[WorkflowId, str]] = set()
        self._crashes: Counter[AttemptKey] = Counter()
        self.executions: Counter[AttemptKey] = Counter()
        self.violations: list[str] = []

    @property
    def last_recorded_at(self) -> datetime:
        """The latest instant that is recorded anywhere."""
        instants = (state.last_recorded_at for state in self._states.values())
        return max((each for each in instants if each is not None), default=_FIRST)

    @property
    def states(self) -> Mapping[WorkflowId, RunProjection]:
        """Every workflow, as it is in the store."""
        return self._states

    def take(self, events: Iterable[e.HistoryEvent]) -> None:
        """They have been committed."""
        for event in events:
            state = self._states.setdefault(event.workflow_id, RunProjection(event.workflow_id))
            state.apply(event)
            if isinstance(event, e.WorkflowStarted):
                self._cancel_requested.discard(event.workflow_id)
            elif isinstance(event, e.WorkflowCancelRequested):
                self._cancel_requested.add(event.workflow_id)
            elif isinstance(event, e.UpdateCompleted | e.UpdateFailed):
                self._answered.add((event.workflow_id, event.update_id))

    def crashed(self) -> None:
        """The engine has been killed: each attempt that is open now may have to be made again."""
        for state in self._states.values():
            assert state.summary is not None
            for row in state.activities.values():
                key = AttemptKey(
                    state.workflow_id, state.summary.run_id, row.activity_id, row.attempt
                )
                self._crashes[key] += 1

    def begun(self, key: AttemptKey) -> None:
        """An attempt is being made, which may have been made before."""
        self.executions[key] += 1
        if self.row_of(key) is None:
            self.violations.append(f"{key} was begun while it was not open in the store")
        elif self.executions[key] - 1 > self._crashes[key]:
            self.violations.append(
                f"{key} was made {self.executions[key]} times, though the engine was killed only "
                f"{self._crashes[key]} times while it was open"
            )

    def row_of(self, key: AttemptKey) -> ActivityRow | None:
        """The row of an activity while this attempt of it is the one to be made."""
        state = self._states.get(key.workflow_id)
        if state is None or state.summary is None or state.summary.run_id != key.run_id:
            return None
        row = state.activities.get(key.activity_id)
        return row if row is not None and row.attempt == key.attempt else None

    def is_open(self, workflow_id: WorkflowId) -> bool:
        """Has it been started, and not ended?"""
        return workflow_id in self._states and self._states[workflow_id].is_open

    def is_asked_to_stop(self, workflow_id: WorkflowId) -> bool:
        """Has its newest run been?"""
        return workflow_id in self._cancel_requested

    def has_taken(self, workflow_id: WorkflowId, id: str) -> bool:
        """Is the signal or update of this id in its history?"""
        state = self._states.get(workflow_id)
        return state is not None and (id in state.signal_ids or id in state.update_ids)

    def has_answered(self, workflow_id: WorkflowId, update_id: str) -> bool:
        """Is the answer to an update in its history?"""
        return (workflow_id, update_id) in self._answered

    def next_due(self, now: datetime, timer: str | None) -> datetime | None:
        """When a named timer fires, or when the next thing happens that waits for its time."""
        timers = [row for state in self._states.values() for row in state.timers.values()]
        if timer is not None:
            timer_id = named_timer(timer)
            instants = [row.fire_at for row in timers if row.timer_id == timer_id]
        else:
            rows = [row for state in self._states.values() for row in state.activities.values()]
            retries = [each.next_attempt_at for each in rows if each.next_attempt_at is not None]
            instants = [*(row.fire_at for row in timers), *(at for at in retries if at > now)]
        return min(instants, default=None)

    def has_timer_due(self, now: datetime) -> bool:
        """Is there a timer that should have fired?"""
        return any(
            row.fire_at <= now for state in self._states.values() for row in state.timers.values()
        )
