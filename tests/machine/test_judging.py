"""The step: each arrival is judged against the run as it is then."""

from datetime import UTC, timedelta
from typing import Any

import attrs
import pytest

from aion_core import events as e
from aion_core.authoring.activities import activity
from aion_core.authoring.concurrency import gather
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, now, sleep
from aion_core.authoring.workflows import workflow
from aion_core.errors import (
    HistoryShapeError,
    InvalidIdError,
    UnknownWorkflowTypeError,
    WorkflowAlreadyStartedError,
    WorkflowClosedError,
    WorkflowNotFoundError,
)
from aion_core.ids import RunId
from aion_core.machine import arrivals as a
from tests.machine.driver import (
    FAILURE,
    Driver,
    at,
    driven,
    kinds,
    payload,
    resident,
    start_request,
)

go = Signal("go", int)


@activity
async def charge() -> None: ...


@activity
async def ship() -> None: ...


@workflow(name="main")
async def order(amount: int = 0) -> None:
    """Waits for a signal, two activities and a timer, all at once."""
    await gather(charge(), ship(), go.receive(), sleep(60))


@workflow(name="main")
async def short() -> None:
    await go.receive()


def open_order() -> Driver:
    driver = Driver(order)
    driver.start(amount=1)
    return driver


def closed() -> Driver:
    driver = Driver(short)
    driver.start()
    driver.signal("go", 1)
    return driver


def test_a_start_is_recorded_with_what_it_was_given() -> None:
    started = Driver(short).step(start_request("main", b"{}", "r")).events[0]
    assert started == e.WorkflowStarted(
        seq=1,
        recorded_at=at(0),
        workflow_id=started.workflow_id,
        workflow_type="main",
        input=payload({}),
        run_id=RunId("r"),
        package_version=e.UNVERSIONED,
        random_seed=7,
    )


def test_an_arrival_and_its_intents_are_one_group_with_one_time() -> None:
    driver = open_order()
    assert kinds(driver.history) == [
        "WorkflowStarted",
        "ActivityScheduled",
        "ActivityScheduled",
        "TimerStarted",
    ]
    assert {event.recorded_at for event in driver.history} == {at(0)}


def test_every_arrival_of_a_step_is_followed_by_its_own_intents() -> None:
    @workflow
    async def main() -> None:
        await go.receive()
        await charge()

    driver = Driver(main)
    signals = [driver.signalled("go", value) for value in (1, 2)]
    assert kinds(driver.step(start_request(), *signals).events) == [
        "WorkflowStarted",
        "SignalReceived",
        "ActivityScheduled",
        "SignalReceived",
    ]


def test_seqs_go_on_without_gaps() -> None:
    driver = open_order()
    driver.step(driver.completed("charge"), driver.completed("ship"), driver.signalled("go", 1))
    driver.fire()
    assert [event.seq for event in driver.history] == list(range(1, len(driver.history) + 1))


def test_a_step_without_a_use_for_its_arrivals_records_nothing() -> None:
    driver = closed()
    step = driver.step(driver.signalled("go", 1))
    assert (step.events, step.expected_seq) == ([], len(driver.history))


def test_the_same_start_again_is_acknowledged_and_not_recorded() -> None:
    driver = open_order()
    step = driver.step(start_request("main", b'{"amount":1}', "another run"))
    assert (step.events, step.refusals) == ([], [None])


def test_the_same_start_of_a_closed_run_is_acknowledged() -> None:
    assert closed().step(start_request("main", b"{}")).refusals == [None]


def test_the_same_input_may_be_spelled_otherwise() -> None:
    driver = open_order()
    assert driver.step(start_request("main", b'{ "amount": 1 }')).refusals == [None]


def test_a_start_with_another_input_is_refused() -> None:
    driver = open_order()
    step = driver.step(start_request("main", b'{"amount":2}'))
    (refusal,) = step.refusals
    assert isinstance(refusal, WorkflowAlreadyStartedError)
    assert "with another input" in str(refusal)
    assert step.events == []


def test_a_start_of_another_type_is_refused() -> None:
    driver = open_order()
    (refusal,) = driver.step(start_request("other", b'{"amount":1}')).refusals
    assert isinstance(refusal, WorkflowAlreadyStartedError)
    assert "as 'main', not 'other'" in str(refusal)


def test_two_starts_in_one_step_are_one_start() -> None:
    step = Driver(short).step(start_request(run_id="r1"), start_request(run_id="r2"))
    assert kinds(step.events) == ["WorkflowStarted"]
    assert step.refusals == [None, None]


def test_a_run_of_unknown_code_is_not_brought_up() -> None:
    with pytest.raises(UnknownWorkflowTypeError):
        resident(open_order().history)


def test_a_closed_run_needs_no_code() -> None:
    assert not resident(closed().history).is_open


def test_a_signal_to_nothing_is_refused() -> None:
    driver = Driver(short)
    step = driver.step(driver.signalled("go", 1))
    assert [type(refusal) for refusal in step.refusals] == [WorkflowNotFoundError]
    assert step.events == []


def test_a_signal_to_a_closed_run_is_refused_with_its_status() -> None:
    driver = closed()
    (refusal,) = driver.step(driver.signalled("go", 1)).refusals
    assert isinstance(refusal, WorkflowClosedError)
    assert refusal.status == "Completed"


def test_a_signal_sent_again_is_acknowledged_and_not_recorded() -> None:
    driver = open_order()
    driver.step(driver.signalled("go", 1, signal_id="s"))
    step = driver.step(driver.signalled("go", 2, signal_id="s"))
    assert (step.events, step.refusals) == ([], [None])


def test_a_signal_sent_twice_in_one_step_is_recorded_once() -> None:
    driver = open_order()
    step = driver.step(*(driver.signalled("go", 1, signal_id="s") for _ in range(2)))
    assert kinds(step.events) == ["SignalReceived"]
    assert step.refusals == [None, None]


def test_a_signal_sent_again_after_the_end_is_acknowledged() -> None:
    driver = Driver(short)
    driver.start()
    driver.step(driver.signalled("go", 1, signal_id="s"))
    assert driver.step(driver.signalled("go", 1, signal_id="s")).refusals == [None]


def test_signal_ids_are_known_after_a_restart() -> None:
    driver = open_order()
    driver.step(driver.signalled("go", 1, signal_id="s"))
    driver.reload()
    assert driver.step(driver.signalled("go", 1, signal_id="s")).events == []


@pytest.mark.parametrize("signal_id", ["", "\ud800", "a\nb"])
def test_a_signal_id_that_could_not_be_stored_is_refused(signal_id: str) -> None:
    with pytest.raises(InvalidIdError, match="signal_id"):
        a.SignalSentToRun(name="go", payload=payload(1), signal_id=signal_id)


def dropped(driver: Driver, *arrivals: a.Arrival) -> bool:
    step = driver.step(*arrivals)
    return step.events == [] and step.refusals == [None] * len(arrivals)


@pytest.mark.parametrize(
    "changes",
    [
        {"run_id": RunId("another")},
        {"scheduled_seq": 1},
        {"attempt": 2},
        {"attempt": 0},
        {"activity_id": "activity:9"},
    ],
    ids=str,
)
def test_an_outcome_of_another_run_activity_or_attempt_is_dropped(changes: dict[str, Any]) -> None:
    driver = open_order()
    assert dropped(driver, attrs.evolve(driver.completed("charge"), **changes))


def test_a_second_outcome_is_dropped() -> None:
    driver = open_order()
    outcome = driver.completed("charge")
    driver.step(outcome)
    assert dropped(driver, outcome)


def test_two_outcomes_in_one_step_are_one() -> None:
    driver = open_order()
    step = driver.step(driver.completed("charge"), driver.failed("charge"))
    assert kinds(step.events) == ["ActivityCompleted"]


def test_an_outcome_of_a_former_attempt_is_dropped() -> None:
    driver = open_order()
    late = driver.completed("charge")
    driver.fail("charge", non_retryable=False)
    assert dropped(driver, late)


def test_an_outcome_after_the_end_is_dropped() -> None:
    @workflow
    async def main() -> None:
        await gather(charge(), ship())

    driver = Driver(main)
    driver.start()
    late = driver.completed("ship")
    driver.fail("charge")
    driver.cancel("ship")
    assert not driver.run.is_open
    assert dropped(driver, late)


def test_an_attempt_that_stopped_without_being_asked_to_is_no_outcome() -> None:
    driver = open_order()
    assert dropped(driver, driver.cancelled("charge"))


def test_a_timer_fires_once() -> None:
    driver = open_order()
    due = driver.due()
    driver.step(due)
    assert dropped(driver, due)


def test_a_timer_named_by_another_start_is_dropped() -> None:
    driver = open_order()
    assert dropped(driver, attrs.evolve(driver.due(), started_seq=1))


def test_a_cancelled_timer_does_not_fire() -> None:
    async def main() -> None:
        with move_on_after(10):
            await go.receive()
        await go.receive()

    driver = driven(main)
    due = driver.due()
    driver.signal("go", 1)
    assert dropped(driver, due)


def test_a_timer_cancelled_earlier_in_the_same_step_does_not_fire() -> None:
    async def main() -> None:
        with move_on_after(10):
            await go.receive()
        await go.receive()

    driver = driven(main)
    step = driver.step(driver.signalled("go", 1), driver.due())
    assert kinds(step.events) == ["SignalReceived", "TimerCancelled"]


def test_a_timer_after_the_end_is_dropped() -> None:
    @workflow
    async def main() -> None:
        await gather(sleep(60), charge())

    driver = Driver(main)
    driver.start()
    due = driver.due()
    driver.fail("charge")
    assert not driver.run.is_open
    assert dropped(driver, due)


def test_a_terminal_ends_the_step_and_the_rest_is_refused_or_dropped() -> None:
    @workflow
    async def main() -> None:
        await go.receive()

    driver = Driver(main)
    driver.start()
    step = driver.step(driver.signalled("go", 1), driver.signalled("go", 2))
    assert kinds(step.events) == ["SignalReceived", "WorkflowCompleted"]
    assert [type(refusal) for refusal in step.refusals] == [type(None), WorkflowClosedError]


def test_the_end_is_at_hand_as_the_terminal() -> None:
    driver = closed()
    assert driver.run.terminal is driver.history[-1]


def test_a_run_brought_up_after_its_end_knows_its_terminal() -> None:
    driver = closed()
    driver.reload()
    assert driver.run.terminal == driver.history[-1]


def test_recorded_time_never_goes_back() -> None:
    seen = []

    @workflow
    async def main() -> None:
        while True:
            await go.receive()
            seen.append(now())

    driver = Driver(main)
    driver.start()
    for clock in (10, 5, 20, -100):
        driver.at = clock
        driver.signal("go", 1)
    assert seen == [at(10), at(10), at(20), at(20)]


def test_a_timer_fires_no_earlier_than_it_should_although_the_clock_stepped_back() -> None:
    driver = open_order()
    driver.at = 5
    (fired,) = driver.step(driver.due()).events
    assert fired.recorded_at == at(60)


def test_a_timer_fires_when_it_is_due_or_later() -> None:
    driver = open_order()
    driver.at = 75
    (fired,) = driver.step(driver.due()).events
    assert fired.recorded_at == at(75)


def test_time_goes_on_from_a_timer_that_was_recorded_ahead_of_the_clock() -> None:
    driver = open_order()
    driver.step(driver.due())
    driver.at = 30
    (received,) = driver.signal("go", 1)
    assert received.recorded_at == at(60)


def test_a_run_that_starts_twice_is_no_history() -> None:
    driver = open_order()
    again = attrs.evolve(driver.history[0], seq=5)
    with pytest.raises(HistoryShapeError, match="run run begins 2 times in its history"):
        resident([*driver.history, again], order)


def test_an_outcome_of_a_call_that_nobody_made_is_no_history() -> None:
    driver = Driver(short)
    driver.start()
    outcome = e.ActivityCancelled(
        seq=2,
        recorded_at=at(0),
        workflow_id=driver.run.workflow_id,
        activity_id="activity:0",  # type: ignore[arg-type]
    )
    with pytest.raises(HistoryShapeError, match="activity:0 has an outcome"):
        resident([*driver.history, outcome], short)


def test_a_failed_attempt_is_a_note_that_names_the_next() -> None:
    driver = open_order()
    driver.at = 10
    (note,) = driver.fail("charge", non_retryable=False)
    assert isinstance(note, e.ActivityFailed)
    assert (note.attempt, note.next_attempt_at, note.error.kind) == (1, at(11), "retryable")
    assert not e.is_arrival(note)


def test_the_next_attempt_counts_from_what_is_recorded_and_not_from_the_clock() -> None:
    driver = open_order()
    driver.step(driver.due())
    driver.at = 10
    (note,) = driver.fail("charge", non_retryable=False)
    assert isinstance(note, e.ActivityFailed)
    assert note.next_attempt_at == at(61)


def test_the_last_attempt_fails_the_activity() -> None:
    driver = open_order()
    for _ in range(4):
        assert kinds(driver.fail("charge", non_retryable=False)) == ["ActivityFailed"]
    last = driver.step(driver.failed("charge")).events
    assert isinstance(last[0], e.ActivityFailed)
    assert (last[0].attempt, last[0].next_attempt_at, last[0].error.kind) == (5, None, "terminal")


def test_the_policy_that_was_recorded_holds() -> None:
    driver = open_order()
    scheduled = driver.history[1]
    assert isinstance(scheduled, e.ActivityScheduled)
    stricter = attrs.evolve(scheduled.options.retry, max_attempts=1)
    options = attrs.evolve(scheduled.options, retry=stricter)
    driver.history[1] = attrs.evolve(scheduled, options=options)
    driver.reload()
    assert kinds(driver.fail("charge", non_retryable=False)) == [
        "ActivityFailed",
        "ActivityCancelRequested",
        "TimerCancelled",
    ]


def test_an_exception_that_forbids_a_retry_fails_the_activity_at_once() -> None:
    driver = open_order()
    failed = driver.fail("charge")[0]
    assert isinstance(failed, e.ActivityFailed)
    assert failed.next_attempt_at is None


def test_a_timeout_stays_a_timeout_whether_it_is_retried_or_not() -> None:
    driver = open_order()
    timeout = attrs.evolve(FAILURE, kind="timeout")
    notes = driver.step(driver.failed("charge", timeout)).events
    last = driver.step(driver.failed("charge", timeout, non_retryable=True)).events
    failures = [event for event in (*notes, *last) if isinstance(event, e.ActivityFailed)]
    assert [event.error.kind for event in failures] == ["timeout", "timeout"]


def stopping() -> Driver:
    driver = open_order()
    driver.fail("ship")
    assert driver.row("charge").cancel_requested
    return driver


def test_a_cancelled_activity_is_never_retried() -> None:
    driver = stopping()
    events = driver.fail("charge", non_retryable=False)
    assert kinds(events) == ["ActivityFailed", "WorkflowFailed"]
    assert isinstance(events[0], e.ActivityFailed)
    assert events[0].next_attempt_at is None


def test_a_cancelled_activity_says_what_is_known_of_it() -> None:
    driver = stopping()
    event = driver.step(driver.cancelled("charge", detail="outcome unknown")).events[0]
    assert isinstance(event, e.ActivityCancelled)
    assert (event.attempt, event.detail) == (1, "outcome unknown")


def test_an_activity_cancelled_between_attempts_names_none() -> None:
    driver = stopping()
    event = driver.step(driver.cancelled("charge", attempt_ran=False)).events[0]
    assert isinstance(event, e.ActivityCancelled)
    assert event.attempt is None


def test_running_an_attempt_again_is_recorded_first() -> None:
    driver = open_order()
    (event,) = driver.step(driver.redelivery("charge")).events
    assert isinstance(event, e.ActivityStarted)
    assert (event.attempt, event.delivery) == (1, 2)


def test_an_attempt_that_was_handed_out_too_often_has_crashed() -> None:
    driver = open_order()
    for _ in range(4):
        assert kinds(driver.step(driver.redelivery("charge")).events) == ["ActivityStarted"]
    events = driver.step(driver.redelivery("charge")).events
    assert kinds(events)[:2] == ["ActivityFailed", "ActivityCancelRequested"]
    assert isinstance(events[0], e.ActivityFailed)
    assert (events[0].error.kind, events[0].next_attempt_at) == ("crashed", None)
    assert "handed out 5 times" in events[0].error.message


def test_deliveries_are_counted_over_restarts() -> None:
    driver = open_order()
    for _ in range(4):
        driver.step(driver.redelivery("charge"))
        driver.reload()
    assert kinds(driver.step(driver.redelivery("charge")).events)[0] == "ActivityFailed"


def test_the_next_attempt_is_delivered_afresh() -> None:
    driver = open_order()
    for _ in range(4):
        driver.step(driver.redelivery("charge"))
    driver.fail("charge", non_retryable=False)
    (event,) = driver.step(driver.redelivery("charge")).events
    assert isinstance(event, e.ActivityStarted)
    assert (event.attempt, event.delivery) == (2, 2)


def test_that_an_attempt_begins_is_no_further_delivery() -> None:
    driver = open_order()
    for _ in range(7):
        (event,) = driver.step(driver.start_of("charge")).events
        assert isinstance(event, e.ActivityStarted)
        assert (event.attempt, event.delivery) == (1, 1)


def test_an_attempt_that_is_not_the_current_one_does_not_begin() -> None:
    driver = open_order()
    early = driver.start_of("charge")
    driver.step(driver.redelivery("charge"))
    assert dropped(driver, early)
    late = driver.start_of("charge")
    driver.fail("charge", non_retryable=False)
    assert dropped(driver, late)
    settled = driver.start_of("charge")
    driver.complete("charge")
    assert dropped(driver, settled)


def test_an_attempt_of_an_activity_that_is_to_stop_does_not_begin() -> None:
    driver = stopping()
    assert dropped(driver, driver.start_of("charge"))


def test_an_attempt_of_the_past_is_not_run_again() -> None:
    driver = open_order()
    late = driver.redelivery("charge")
    driver.fail("charge", non_retryable=False)
    assert dropped(driver, late)


def test_a_settled_activity_is_not_run_again() -> None:
    driver = open_order()
    late = driver.redelivery("charge")
    driver.complete("charge")
    assert dropped(driver, late)


def test_an_activity_cancelled_meanwhile_is_settled_and_not_run_again() -> None:
    driver = open_order()
    step = driver.step(driver.failed("ship", non_retryable=True), driver.redelivery("charge"))
    assert kinds(step.events)[-2:] == ["ActivityCancelled", "WorkflowFailed"]
    settled = step.events[-2]
    assert isinstance(settled, e.ActivityCancelled)
    assert (settled.attempt, settled.detail) == (1, "outcome unknown")


def test_what_runs_an_open_activity_is_at_hand() -> None:
    driver = open_order()
    scheduled, definition = driver.run.call_of(driver.row("charge"))
    assert (scheduled, definition) == (driver.history[1], charge)


def test_what_runs_an_open_activity_is_at_hand_after_a_restart() -> None:
    driver = open_order()
    driver.reload()
    scheduled, definition = driver.run.call_of(driver.row("charge"))
    assert (scheduled, definition) == (driver.history[1], charge)


def test_all_recorded_times_are_utc() -> None:
    driver = open_order()
    driver.fire()
    assert all(event.recorded_at.tzinfo is UTC for event in driver.history)
    assert driver.history[-1].recorded_at - driver.history[0].recorded_at == timedelta(seconds=60)
