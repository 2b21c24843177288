"""Projections of the life of a run: status, its chain, attributes, held and rated activities."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_core import events as e
from aion_core.errors import HistoryShapeError
from aion_core.failures import Failure
from aion_core.history import (
    ActivityRow,
    RateRow,
    RunProjection,
    TimerRow,
    WorkflowSummary,
    current_status,
    run_chain,
)
from aion_core.ids import ActivityId, ChildKey, PackageVersion, RunId, TimerId, WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.policies import ActivityOptions, Limit
from aion_core.status import WorkflowStatus

W = WorkflowId("w")
A = ActivityId("activity:0")
T = TimerId("timer:0")
NULL = Payload(JSON, b"null")
FAILURE = Failure(type="Declined", message="no money")
BY_ACTIVITY = Failure(
    type="Lost", message="gave up", cause=Failure(type="ActivityError", message="declined")
)

Part = tuple[type[e.HistoryEvent], dict[str, Any]]


def at(second: float) -> datetime:
    return datetime(2024, 3, 1, tzinfo=UTC) + timedelta(seconds=second)


def history(*parts: Part) -> list[e.HistoryEvent]:
    return [
        cls(seq=seq, recorded_at=at(seq), workflow_id=W, **fields)
        for seq, (cls, fields) in enumerate(parts, 1)
    ]


def started(run_id: str = "r", continued_from: str | None = None, **fields: Any) -> Part:
    return e.WorkflowStarted, {
        "workflow_type": "order",
        "input": NULL,
        "run_id": RunId(run_id),
        "continued_from": None if continued_from is None else RunId(continued_from),
        "package_version": e.UNVERSIONED,
        "random_seed": 1,
        **fields,
    }


def scheduled(options: ActivityOptions | None = None, activity_id: ActivityId = A) -> Part:
    return e.ActivityScheduled, {
        "activity_id": activity_id,
        "activity_type": "charge",
        "input": NULL,
        "options": options or ActivityOptions(),
    }


def failed_for_good(activity_id: ActivityId = A) -> Part:
    return e.ActivityFailed, {"activity_id": activity_id, "error": FAILURE, "attempt": 1}


CONTINUED: Part = (
    e.WorkflowContinuedAsNew,
    {"input": NULL, "successor_run_id": RunId("s")},
)
COMPLETED: Part = (e.WorkflowCompleted, {"result": NULL})
PAUSED: Part = (e.WorkflowPaused, {"run_id": RunId("r")})
RESUMED: Part = (e.WorkflowResumed, {"run_id": RunId("r")})
REQUESTED: Part = (e.WorkflowCancelRequested, {"reason": "enough"})
ADOPTED: Part = (e.WorkflowVersionAdopted, {"package_version": PackageVersion("h1:0")})
CLOSINGS: dict[WorkflowStatus, Part] = {
    WorkflowStatus.COMPLETED: COMPLETED,
    WorkflowStatus.FAILED: (e.WorkflowFailed, {"error": FAILURE}),
    WorkflowStatus.CANCELLED: (e.WorkflowCancelled, {"reason": "enough"}),
    WorkflowStatus.TERMINATED: (e.WorkflowTerminated, {"reason": "by kim"}),
    WorkflowStatus.TIMED_OUT: (e.WorkflowTimedOut, {"timeout": "run"}),
    WorkflowStatus.CONTINUED_AS_NEW: CONTINUED,
}


def reopened(timers: tuple[TimerRow, ...] = (), *activities: e.ReopenedActivity) -> Part:
    fields = {"run_id": RunId("r"), "from_seq": 2, "timers": timers, "reopened": activities}
    return e.WorkflowReopened, fields


def state(*parts: Part) -> RunProjection:
    return RunProjection(W, history(*parts))


def summary(*parts: Part) -> WorkflowSummary:
    found = state(*parts).summary
    assert found is not None
    return found


@pytest.mark.parametrize("status", CLOSINGS, ids=lambda status: status.value)
def test_each_terminal_closes_the_run_with_its_status(status: WorkflowStatus) -> None:
    closed = summary(started(), CLOSINGS[status])
    assert (closed.status, closed.closed_at) == (status, at(2))


def test_every_terminal_event_is_among_them() -> None:
    assert {cls for cls, _ in CLOSINGS.values()} == set(e.TERMINALS)


@pytest.mark.parametrize("status", WorkflowStatus, ids=lambda status: status.value)
def test_running_and_paused_runs_are_open_and_no_others(status: WorkflowStatus) -> None:
    assert status.is_closed == (status in CLOSINGS)


def test_a_paused_run_is_open_and_keeps_its_rows() -> None:
    paused = state(started(), scheduled(), PAUSED)
    assert paused.summary is not None
    assert (paused.summary.status, paused.is_open) == (WorkflowStatus.PAUSED, True)
    assert set(paused.activities) == {A}


def test_a_resumed_run_is_running() -> None:
    assert summary(started(), PAUSED, RESUMED).status is WorkflowStatus.RUNNING


@pytest.mark.parametrize("note", [REQUESTED, ADOPTED], ids=["cancel requested", "code adopted"])
def test_what_decides_nothing_leaves_the_status(note: Part) -> None:
    assert summary(started(), PAUSED, note).status is WorkflowStatus.PAUSED


def test_a_reopened_run_is_running_and_has_no_reason_to_have_failed() -> None:
    found = summary(started(), CLOSINGS[WorkflowStatus.FAILED], reopened())
    assert (found.status, found.closed_at, found.failure_reason) == (
        WorkflowStatus.RUNNING,
        None,
        None,
    )


def test_a_reopened_run_has_the_timers_and_activities_that_the_event_lists() -> None:
    timer = TimerRow(timer_id=T, started_seq=2, fire_at=at(99))
    activity = e.ReopenedActivity(activity_id=A, activity_type="charge", scheduled_seq=2, attempt=3)
    found = state(
        started(), scheduled(), CLOSINGS[WorkflowStatus.FAILED], reopened((timer,), activity)
    )
    assert found.timers == {T: timer}
    assert found.activities == {
        A: ActivityRow(activity_id=A, activity_type="charge", scheduled_seq=2, attempt=3)
    }


@given(
    st.lists(st.sampled_from([*CLOSINGS.values(), PAUSED, RESUMED, REQUESTED, ADOPTED, reopened()]))
)
def test_the_status_kept_event_by_event_is_the_one_found_backwards(parts: list[Part]) -> None:
    found = history(started(), *parts)
    assert summary(started(), *parts).status is current_status(found)


def test_nothing_has_no_status() -> None:
    assert current_status([]) is None


def test_a_successor_begins_afresh_under_the_same_workflow() -> None:
    found = summary(
        started(attributes={"shop": "b"}), CONTINUED, started("s", "r", attributes={"day": 1})
    )
    assert (found.run_id, found.status, found.closed_at, found.attributes) == (
        "s",
        WorkflowStatus.RUNNING,
        None,
        {"day": 1},
    )


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (WorkflowStatus.FAILED, "Declined: no money"),
        (WorkflowStatus.CANCELLED, "enough"),
        (WorkflowStatus.TERMINATED, "by kim"),
        (WorkflowStatus.TIMED_OUT, "its run time was over"),
        (WorkflowStatus.COMPLETED, None),
    ],
    ids=lambda value: getattr(value, "value", None),
)
def test_the_summary_says_why_the_run_ended(status: WorkflowStatus, reason: str | None) -> None:
    assert summary(started(), CLOSINGS[status]).failure_reason == reason


def test_a_child_names_its_parent() -> None:
    parent = e.ParentRef(
        workflow_id=WorkflowId("p"), run_id=RunId("q"), child_key=ChildKey("child:0")
    )
    assert summary(started(parent=parent)).parent == parent


def test_the_activity_that_failed_the_run_is_named() -> None:
    found = summary(
        started(), scheduled(), failed_for_good(), (e.WorkflowFailed, {"error": BY_ACTIVITY})
    )
    assert found.failed_activity == A


def test_an_activity_whose_failure_the_run_survived_is_not_named_at_its_end() -> None:
    found = summary(
        started(), scheduled(), failed_for_good(), (e.WorkflowFailed, {"error": FAILURE})
    )
    assert found.failed_activity is None


def test_attributes_are_merged_by_name_and_none_takes_one_away() -> None:
    update: Part = (
        e.SearchAttributesUpdated,
        {"position": "attributes:0", "attributes": {"shop": None, "day": 2}},
    )
    found = summary(started(attributes={"shop": "b", "kind": "x"}), update)
    assert found.attributes == {"kind": "x", "day": 2}


def test_a_held_activity_stays_at_its_attempt() -> None:
    held: Part = (
        e.ActivityFailed,
        {"activity_id": A, "error": FAILURE, "attempt": 1, "held": True},
    )
    row = state(started(), scheduled(), held).activities[A]
    assert (row.held, row.attempt) == (True, 1)


def test_a_held_activity_that_is_begun_again_waits_for_nobody() -> None:
    held: Part = (
        e.ActivityFailed,
        {"activity_id": A, "error": FAILURE, "attempt": 1, "held": True},
    )
    begun: Part = (e.ActivityStarted, {"activity_id": A, "attempt": 2, "delivery": 1})
    row = state(started(), scheduled(), held, begun).activities[A]
    assert (row.held, row.attempt, row.next_attempt_at) == (False, 2, None)


def test_the_time_for_all_attempts_runs_from_the_call() -> None:
    row = state(started(), scheduled(ActivityOptions(schedule_to_close=60))).activities[A]
    assert row.deadline == at(62)


def test_a_rate_limit_is_kept_with_the_activity() -> None:
    options = ActivityOptions(limit=Limit("stripe", rate=(100, 60)))
    assert state(started(), scheduled(options)).activities[A].rate == RateRow("stripe", 60)


def test_a_limit_without_a_rate_keeps_no_starts() -> None:
    options = ActivityOptions(limit=Limit("stripe", concurrency=4))
    assert state(started(), scheduled(options)).activities[A].rate is None


def test_the_chain_of_runs_goes_from_the_first_to_the_newest() -> None:
    chain = run_chain(W, history(started(), CONTINUED, started("s", "r"), COMPLETED))
    assert [(run.run_id, run.continued_from, run.status, run.closed_at) for run in chain] == [
        ("r", None, WorkflowStatus.CONTINUED_AS_NEW, at(2)),
        ("s", "r", WorkflowStatus.COMPLETED, at(4)),
    ]


def test_no_history_has_no_runs() -> None:
    assert run_chain(W, []) == []


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([started("r"), started("s")], "runs r and s both are the first"),
        (
            [started("r"), started("s", "r"), started("t", "r")],
            "runs s and t both follow run r",
        ),
        ([started("r"), started("t", "s")], "run t follows run s, to which no chain of runs leads"),
        ([started("r", "s"), started("s", "r")], "run r follows run s, to which no chain"),
    ],
    ids=["two roots", "two successors", "unreachable", "cycle"],
)
def test_runs_that_are_no_chain_are_refused(runs: list[Part], message: str) -> None:
    with pytest.raises(HistoryShapeError, match=message):
        run_chain(W, history(*runs))
