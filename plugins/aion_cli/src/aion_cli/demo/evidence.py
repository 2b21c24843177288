"""What a trial leaves to be judged: the ledger, what the store held at each kill, and at the end.

Histories are read event by event here, by the plainest rules, and not through the projections of
`aion_core.history`: those are a part of what is judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from aion_cli.demo.ledger import Execution
from aion_core import events as e

__all__ = [
    "ActivityState",
    "Evidence",
    "Histories",
    "Kill",
    "activity_states",
    "is_over",
    "states_by_activity",
]

Histories = Mapping[str, Sequence[e.HistoryEvent]]
"""By workflow id."""


@attrs.frozen
class ActivityState:
    """What a history says of one activity.

    Attributes:
        attempt: the current one, or the last if it is settled.
        settled: it has its outcome, and must never run again.
        completed: the outcome is a result.
    """

    activity: str
    attempt: int = 1
    settled: bool = False
    completed: bool = False

    def forbids(self, execution: Execution) -> bool:
        """Was the outcome of the execution's attempt recorded already?"""
        return self.settled or execution.attempt < self.attempt


def activity_states(history: Sequence[e.HistoryEvent]) -> dict[str, ActivityState]:
    """Every activity of a history, by its id."""
    states: dict[str, ActivityState] = {}
    for event in history:
        match event:
            case e.ActivityScheduled():
                states[event.activity_id] = ActivityState(event.activity_type)
            case e.ActivityCompleted(activity_id=id):
                states[id] = attrs.evolve(
                    states[id], attempt=event.attempt, settled=True, completed=True
                )
            case e.ActivityFailed(activity_id=id, next_attempt_at=None):
                states[id] = attrs.evolve(states[id], attempt=event.attempt, settled=True)
            case e.ActivityFailed(activity_id=id):
                states[id] = attrs.evolve(states[id], attempt=event.attempt + 1)
            case e.ActivityCancelled(activity_id=id):
                states[id] = attrs.evolve(states[id], settled=True)
    return states


def states_by_activity(histories: Histories) -> dict[tuple[str, str], ActivityState]:
    """Every activity of several histories, by workflow id and activity id."""
    return {
        (workflow_id, activity_id): state
        for workflow_id, history in histories.items()
        for activity_id, state in activity_states(history).items()
    }


def is_over(history: Sequence[e.HistoryEvent]) -> bool:
    """Has the run ended?"""
    return bool(history) and e.is_terminal(history[-1])


@attrs.frozen(kw_only=True)
class Kill:
    """One SIGKILL, and what it left on disk.

    Attributes:
        number: from 1.
        pid: the process that was killed.
        ledger: the lines written so far.
        histories: read from a copy of the store, made after the kill and before the restart.
    """

    number: int
    pid: int
    ledger: Sequence[Execution]
    histories: Histories

    @property
    def in_flight(self) -> list[Execution]:
        """Executions of the killed process whose outcome is not on disk."""
        states = states_by_activity(self.histories)
        return [
            line
            for line in self.ledger
            if line.pid == self.pid
            and (state := states.get((line.workflow_id, line.activity_id))) is not None
            and not state.forbids(line)
        ]

    @property
    def open_runs(self) -> list[str]:
        """Workflows that had begun and not ended."""
        return [name for name, history in self.histories.items() if not is_over(history)]

    @property
    def waiting(self) -> list[str]:
        """Open runs in which no activity is under way: they wait for a signal, or its deadline."""
        return [name for name in self.open_runs if _waits(self.histories[name])]

    @property
    def settled(self) -> int:
        """How many activities have their outcome on disk."""
        return sum(state.settled for state in states_by_activity(self.histories).values())


def _waits(history: Sequence[e.HistoryEvent]) -> bool:
    timers = {event.timer_id for event in history if isinstance(event, e.TimerStarted)}
    over = {
        event.timer_id for event in history if isinstance(event, e.TimerFired | e.TimerCancelled)
    }
    settled = all(state.settled for state in activity_states(history).values())
    return settled and bool(timers - over)


@attrs.frozen(kw_only=True)
class Evidence:
    """All that the check looks at.

    Attributes:
        ledger: every line, oldest first.
        histories: at the end.
        timed_out: the orders were not all over when the time was.
    """

    ledger: Sequence[Execution]
    kills: Sequence[Kill]
    histories: Histories
    timed_out: bool = False
