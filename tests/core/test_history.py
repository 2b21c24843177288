"""Projections: what follows from events."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aion_core import events as e
from aion_core.errors import HistoryShapeError
from aion_core.failures import Failure
from aion_core.history import ActivityRow, RunProjection, TimerRow, changes
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.policies import ActivityOptions
from aion_core.status import WorkflowStatus

W = WorkflowId("w")
A = ActivityId("activity:0")
T = TimerId("timer:0")
FAILURE = Failure(type="Declined", message="no money", kind="terminal")
NULL = Payload(JSON, b"null")


def at(second: int) -> datetime:
    return datetime(2024, 3, 1, tzinfo=UTC) + timedelta(seconds=second)


def history(*parts: tuple[type[e.HistoryEvent], dict[str, Any]]) -> list[e.HistoryEvent]:
    return [
        cls(seq=seq, recorded_at=at(seq), workflow_id=W, **fields)
        for seq, (cls, fields) in enumerate(parts, 1)
    ]


STARTED = (
    e.WorkflowStarted,
    {
        "workflow_type": "order",
        "input": NULL,
        "run_id": RunId("r"),
        "package_version": e.UNVERSIONED,
        "random_seed": 1,
    },
)
SCHEDULED = (
    e.ActivityScheduled,
    {"activity_id": A, "activity_type": "charge", "input": NULL, "options": ActivityOptions()},
)
RETRY = (
    e.ActivityFailed,
    {"activity_id": A, "error": FAILURE, "attempt": 1, "next_attempt_at": at(60)},
)
TIMER = (e.TimerStarted, {"timer_id": T, "fire_at": at(99)})
ROW = ActivityRow(activity_id=A, activity_type="charge", scheduled_seq=2)


def state(*parts: tuple[type[e.HistoryEvent], dict[str, Any]]) -> RunProjection:
    return RunProjection(W, history(*parts))


def test_nothing_is_known_before_the_first_event() -> None:
    empty = state()
    assert (empty.summary, empty.head, empty.last_recorded_at, empty.is_open) == (
        None,
        0,
        None,
        False,
    )


def test_a_started_run_is_running() -> None:
    summary = state(STARTED).summary
    assert summary is not None
    assert (summary.run_id, summary.workflow_type, summary.status, summary.started_at) == (
        "r",
        "order",
        WorkflowStatus.RUNNING,
        at(1),
    )


def test_a_completed_run_is_closed_at_that_time() -> None:
    closed = state(STARTED, (e.WorkflowCompleted, {"result": NULL}))
    assert closed.summary is not None
    assert (closed.is_open, closed.summary.status, closed.summary.closed_at) == (
        False,
        WorkflowStatus.COMPLETED,
        at(2),
    )


def test_a_failed_run_says_why() -> None:
    summary = state(STARTED, (e.WorkflowFailed, {"error": FAILURE})).summary
    assert summary is not None
    assert (summary.status, summary.failure_reason) == (
        WorkflowStatus.FAILED,
        "Declined: no money",
    )


def test_the_end_settles_timers_and_activities() -> None:
    closed = state(STARTED, SCHEDULED, TIMER, (e.WorkflowCompleted, {"result": NULL}))
    assert (closed.timers, closed.activities) == ({}, {})


def test_a_scheduled_activity_waits_for_its_first_attempt() -> None:
    assert state(STARTED, SCHEDULED).activities == {A: ROW}


def test_a_retry_plans_the_next_attempt_with_its_first_delivery() -> None:
    started = (e.ActivityStarted, {"activity_id": A, "attempt": 1, "delivery": 4})
    row = state(STARTED, SCHEDULED, started, RETRY).activities[A]
    assert (row.attempt, row.delivery, row.next_attempt_at) == (2, 1, at(60))


def test_a_redelivery_counts() -> None:
    started = (e.ActivityStarted, {"activity_id": A, "attempt": 1, "delivery": 2})
    assert state(STARTED, SCHEDULED, started).activities[A].delivery == 2


def test_a_cancel_request_is_remembered() -> None:
    requested = (e.ActivityCancelRequested, {"activity_id": A})
    assert state(STARTED, SCHEDULED, requested).activities[A].cancel_requested


@pytest.mark.parametrize(
    "outcome",
    [
        (e.ActivityCompleted, {"activity_id": A, "result": NULL, "attempt": 1}),
        (e.ActivityFailed, {"activity_id": A, "error": FAILURE, "attempt": 1}),
        (e.ActivityCancelled, {"activity_id": A}),
    ],
    ids=lambda part: part[0].__name__,
)
def test_an_outcome_settles_the_activity(
    outcome: tuple[type[e.HistoryEvent], dict[str, Any]],
) -> None:
    assert state(STARTED, SCHEDULED, outcome).activities == {}


def test_a_started_timer_is_open() -> None:
    expected = TimerRow(timer_id=T, started_seq=2, fire_at=at(99))
    assert state(STARTED, TIMER).timers == {T: expected}


@pytest.mark.parametrize(
    "end",
    [(e.TimerFired, {"timer_id": T, "started_seq": 2}), (e.TimerCancelled, {"timer_id": T})],
    ids=lambda part: part[0].__name__,
)
def test_a_timer_that_fired_or_was_cancelled_is_settled(
    end: tuple[type[e.HistoryEvent], dict[str, Any]],
) -> None:
    assert state(STARTED, TIMER, end).timers == {}


def test_signal_ids_are_remembered_over_the_end() -> None:
    signal = (e.SignalReceived, {"name": "go", "payload": NULL, "signal_id": "s"})
    closed = state(STARTED, signal, (e.WorkflowCompleted, {"result": NULL}))
    assert closed.signal_ids == {"s"}


def test_a_signal_changes_no_row() -> None:
    (_, signal) = history(STARTED, (e.SignalReceived, {"name": "go", "payload": NULL}))
    assert changes(signal) is None


def test_head_and_time_are_those_of_the_last_event() -> None:
    last = state(STARTED, SCHEDULED)
    assert (last.head, last.last_recorded_at) == (2, at(2))


def test_a_gap_is_refused() -> None:
    first, _, third = history(STARTED, SCHEDULED, TIMER)
    with pytest.raises(HistoryShapeError, match="'w': event 3 stands where event 2 belongs"):
        RunProjection(W, [first, third])


def test_a_history_begins_with_its_start() -> None:
    with pytest.raises(HistoryShapeError, match="'w' does not begin with WorkflowStarted"):
        state(SCHEDULED)


@pytest.mark.parametrize(
    "note",
    [
        RETRY,
        (e.ActivityStarted, {"activity_id": A, "attempt": 1, "delivery": 2}),
        (e.ActivityCancelRequested, {"activity_id": A}),
    ],
    ids=lambda part: part[0].__name__,
)
def test_a_note_about_an_activity_that_is_not_open_is_refused(
    note: tuple[type[e.HistoryEvent], dict[str, Any]],
) -> None:
    with pytest.raises(HistoryShapeError, match="event 2 is about activity:0, which is not open"):
        state(STARTED, note)
