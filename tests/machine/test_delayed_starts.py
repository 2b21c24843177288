"""Starts that wait: the run is there, and its code runs when the timer of the start has fired."""

from datetime import datetime

import attrs
import pytest

from aion_core import events as e
from aion_core import replay as r
from aion_core.authoring.activities import activity
from aion_core.authoring.changes import patched
from aion_core.authoring.queries import Query
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import now, sleep, start_timer
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import workflow
from aion_core.commands import AwaitTimer, Command, StartTimer
from aion_core.errors import InvalidIdError, QueryError, UpdateRejectedError, WorkflowClosedError
from aion_core.ids import START_TIMER, RunId
from aion_core.machine import arrivals as a
from aion_core.machine.run import LATER
from tests.machine.driver import (
    Driver,
    W,
    at,
    check_replays,
    kinds,
    machine_for,
    refusal_of,
    start_request,
)

go = Signal("go", int)
seen = Query("seen", str)
add = Update("add", int, int)

ran: list[datetime] = []


@activity
async def charge(amount: int) -> int:
    return amount


@workflow
async def counting() -> list[str]:
    ran.append(now())
    total = 0

    async def handler(by: int) -> int:
        nonlocal total
        total += by
        return total

    add.handle(handler)
    seen.answer(lambda: f"{total}")
    log = [now().isoformat()]
    total += await go.receive()
    await sleep(5)
    log.append(f"{now().isoformat()} {total}")
    return log


@pytest.fixture
def waiting() -> Driver:
    ran.clear()
    driver = Driver(counting)
    driver.start_later(60)
    return driver


def test_the_only_intent_of_a_start_that_waits_is_its_timer(waiting: Driver) -> None:
    started, timer = waiting.history
    assert isinstance(started, e.WorkflowStarted)
    assert (started.recorded_at, started.not_before) == (at(0), at(60))
    assert timer == e.TimerStarted(
        seq=2, recorded_at=at(0), workflow_id=W, timer_id=START_TIMER, fire_at=at(60)
    )
    assert ran == []


def test_a_run_whose_start_waits_is_running(waiting: Driver) -> None:
    assert waiting.run.is_open
    assert not waiting.run.has_begun
    assert waiting.run.task_count == 0


def test_the_code_first_runs_when_the_timer_fires_and_that_is_its_now(waiting: Driver) -> None:
    waiting.at = 75.5
    waiting.step(waiting.due())
    assert waiting.run.has_begun
    assert ran == [at(75.5)]
    waiting.signal("go", 1)
    waiting.fire()
    assert waiting.result == [at(75.5).isoformat(), f"{at(80.5).isoformat()} 1"]
    check_replays(waiting)


def test_a_timer_that_fires_early_by_the_clock_gives_the_code_the_instant_asked_for(
    waiting: Driver,
) -> None:
    waiting.at = 59
    waiting.step(waiting.due())
    assert ran == [at(60)]


def test_a_start_may_wait_for_an_instant_that_has_passed() -> None:
    ran.clear()
    driver = Driver(counting)
    driver.at = 100
    assert kinds(driver.start_later(60)) == ["WorkflowStarted", "TimerStarted"]
    assert ran == []
    driver.step(driver.due())
    assert ran == [at(100)]


def test_a_signal_that_comes_before_is_recorded_and_received(waiting: Driver) -> None:
    assert kinds(waiting.signal("go", 4)) == ["SignalReceived"]
    waiting.fire()
    waiting.fire()
    assert waiting.result[1].endswith(" 4")
    check_replays(waiting)


def test_an_update_that_comes_before_waits_and_is_handled_once_the_code_runs(
    waiting: Driver,
) -> None:
    update = waiting.updated("add", 3)
    step = waiting.step(update)
    assert (refusal_of(step), step.events) == (LATER, [])
    step = waiting.step(update, waiting.due())
    assert step.refusals == [None, None]
    assert kinds(step.events) == ["TimerFired", "UpdateAccepted", "UpdateCompleted"]
    check_replays(waiting)


def test_a_run_puts_updates_off_until_its_code_runs(waiting: Driver) -> None:
    before = waiting.run.puts_off
    waiting.fire()
    assert (before, waiting.run.puts_off) == (True, False)


def test_an_update_that_nobody_handles_is_refused_once_the_code_runs(waiting: Driver) -> None:
    step = waiting.step(waiting.updated("subtract", 3), waiting.due())
    assert isinstance(step.refusals[0], UpdateRejectedError)


def test_a_query_before_is_an_error_that_says_why(waiting: Driver) -> None:
    with pytest.raises(QueryError, match="waits to be begun"):
        waiting.ask("seen")
    waiting.fire()
    assert waiting.ask("seen") == "0"


def test_a_cancel_request_ends_the_run_without_its_code(waiting: Driver) -> None:
    events = waiting.cancel_run("not needed")
    assert kinds(events) == ["WorkflowCancelRequested", "WorkflowCancelled"]
    assert not waiting.run.projection.timers
    assert ran == []
    check_replays(waiting)


def test_a_cancelled_one_answers_no_query(waiting: Driver) -> None:
    waiting.cancel_run()
    with pytest.raises(QueryError, match="has ended before it began"):
        waiting.ask("seen")


def test_an_update_that_waits_for_a_run_that_is_cancelled_is_refused(waiting: Driver) -> None:
    step = waiting.step(waiting.updated("add", 3), a.CancelRequest(reason="enough"))
    assert isinstance(step.refusals[0], WorkflowClosedError)


def test_a_timer_that_is_due_in_the_step_of_a_cancel_request_comes_first(waiting: Driver) -> None:
    step = waiting.step(waiting.due(), a.CancelRequest(reason="enough"))
    assert kinds(step.events) == ["TimerFired", "WorkflowCancelRequested", "WorkflowCancelled"]
    assert ran == [at(60)]
    check_replays(waiting)


def test_it_can_be_terminated(waiting: Driver) -> None:
    step = waiting.step(a.TerminateRequest(reason="enough"))
    assert kinds(step.events) == ["WorkflowTerminated"]
    assert not waiting.run.has_begun


def test_the_timer_of_a_start_fires_once(waiting: Driver) -> None:
    due = waiting.due()
    waiting.fire()
    assert waiting.step(due).events == []


def test_a_child_that_is_cancelled_before_it_begins_reports_that() -> None:
    driver = Driver(counting)
    parent = e.ParentRef(workflow_id=W, run_id=RunId("p"), child_key="child:0")  # type: ignore[arg-type]
    request = attrs.evolve(start_request("counting"), parent=parent, not_before=at(60))
    driver.step(request)
    driver.step(a.CancelRequest(reason="its parent asked for it", parent=parent))
    (told,) = driver.outgoing
    assert isinstance(told.arrival, a.ChildEnded)
    assert isinstance(told.arrival.outcome, a.ChildCancelled)


def test_the_same_start_again_changes_nothing(waiting: Driver) -> None:
    again = attrs.evolve(start_request("counting"), not_before=at(99))
    step = waiting.step(again)
    assert (step.events, refusal_of(step)) == ([], None)


def test_the_run_that_follows_begins_at_once() -> None:
    @workflow
    async def in_turns(left: int) -> int:
        await sleep(1)
        if left:
            in_turns.continue_as_new(left - 1)
        return left

    driver = Driver(in_turns)
    driver.start_later(60, left=1)
    driver.fire()
    events = driver.fire()
    assert kinds(events) == [
        "TimerFired",
        "WorkflowContinuedAsNew",
        "WorkflowStarted",
        "TimerStarted",
    ]
    assert driver.run.has_begun
    driver.fire()
    assert driver.result == 0
    check_replays(driver)


def test_a_run_brought_up_before_it_begins_stands_where_it_stood(waiting: Driver) -> None:
    waiting.signal("go", 2)
    waiting.reload()
    assert not waiting.run.has_begun
    assert not waiting.run.is_ahead
    waiting.fire()
    waiting.fire()
    assert waiting.result[1].endswith(" 2")


def test_a_replay_asks_for_the_timer_and_waits_for_it(waiting: Driver) -> None:
    commands = list(machine_for(waiting.history[0], counting).replaying(waiting.history))
    assert commands == [StartTimer(START_TIMER, at(60)), AwaitTimer(START_TIMER)]


def test_a_stream_of_commands_resumes_at_the_timer_of_the_start(waiting: Driver) -> None:
    run_id = waiting.run.run_id
    stream: list[Command] = [StartTimer(START_TIMER, at(60)), AwaitTimer(START_TIMER)]
    resume = r.Replay(W, run_id, waiting.history).drive(stream)
    assert isinstance(resume, r.ResumePoint)
    assert resume.command == AwaitTimer(START_TIMER)
    assert [each.resolution for each in resume.recorded] == [r.TimerStarted(at(60))]


def test_a_stream_of_commands_goes_on_behind_the_timer_of_the_start(waiting: Driver) -> None:
    waiting.fire()
    run_id = waiting.run.run_id
    commands = machine_for(waiting.history[0], counting).replaying(waiting.history)
    resume = r.Replay(W, run_id, waiting.history).drive(commands)
    assert isinstance(resume, r.ResumePoint)
    assert [type(each.resolution).__name__ for each in resume.recorded] == [
        "TimerStarted",
        "TimerFired",
    ]


def test_an_input_that_does_not_fit_fails_the_run_when_it_begins() -> None:
    @workflow
    async def picky(number: int) -> int:
        return number

    driver = Driver(picky)
    driver.start_later(60, number="none")
    assert driver.run.is_open
    assert kinds(driver.fire()) == ["TimerFired", "WorkflowFailed"]


def test_a_change_is_taken_by_a_run_that_has_not_begun_before_it() -> None:
    @workflow
    async def changed() -> bool:
        return patched("new")

    driver = Driver(changed)
    driver.start_later(60)
    driver.reload()
    assert kinds(driver.fire()) == ["TimerFired", "MarkerRecorded", "WorkflowCompleted"]
    assert driver.result is True
    check_replays(driver)


def test_code_that_was_changed_while_the_start_waited_is_the_runs_code(waiting: Driver) -> None:
    @workflow(name="counting")
    async def other() -> int:
        return await charge(7)

    again = Driver(other, waiting.history)
    again.fire()
    again.complete("charge", 7)
    assert again.result == 7


def test_a_reopened_start_waits_again(waiting: Driver) -> None:
    waiting.cancel_run()
    reopened = e.WorkflowReopened(
        seq=len(waiting.history) + 1,
        recorded_at=at(30),
        workflow_id=W,
        run_id=waiting.run.run_id,
        from_seq=3,
        reopened=(),
        timers=(e.TimerRow(timer_id=START_TIMER, started_seq=2, fire_at=at(60)),),
    )
    waiting.history.append(reopened)
    waiting.reload()
    assert not waiting.run.has_begun
    waiting.fire()
    assert ran == [at(60)]


def test_the_name_of_the_timer_is_nobody_elses() -> None:
    @workflow
    async def clashing() -> str:
        try:
            start_timer("aion.start", 5)
        except InvalidIdError as error:
            return str(error)
        return "?"

    driver = Driver(clashing)
    driver.start()
    assert "the engine's own" in driver.result
