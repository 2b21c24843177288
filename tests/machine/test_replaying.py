"""A machine brought to the end of a history, command by command, and given to a run."""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import attrs
import pytest

from aion_core import commands as c
from aion_core import events as e
from aion_core.authoring.activities import activity
from aion_core.authoring.concurrency import gather
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, now, sleep
from aion_core.authoring.workflows import Workflow, workflow
from aion_core.errors import HistoryShapeError, NonDeterminismError
from aion_core.ids import RunId, TimerId, WorkflowId
from aion_core.machine.nursery import open_nursery
from aion_core.machine.run import Run
from aion_core.machine.workflow_machine import WorkflowMachine
from aion_core.payloads import JSON, Payload
from tests.machine.driver import CONVERTER, Driver, W, at, catalog_of, kinds, machine_for

go = Signal("go", int)


@activity
async def charge(amount: int) -> int:
    return amount


@activity
async def ship() -> None: ...


Code = Callable[[], Awaitable[object]]


def main(fn: Code) -> Workflow[[], None]:
    async def body() -> None:
        await fn()

    return workflow(name="main")(body)


def start_of(driver: Driver, **changes: Any) -> e.WorkflowStarted:
    start = driver.history[0]
    assert isinstance(start, e.WorkflowStarted)
    return attrs.evolve(start, **changes)


def lived(fn: Code) -> Driver:
    driver = Driver(main(fn))
    driver.start()
    return driver


def replayed(driver: Driver, fn: Code | None = None) -> list[str]:
    """The commands of a replay, in few words."""
    code = driver.code if fn is None else main(fn)
    return [words(each) for each in machine_for(driver.history[0], code).replaying(driver.history)]


def words(command: c.Command) -> str:
    match command:
        case c.AwaitSignal(name, index):
            return f"AwaitSignal {name} {index}"
        case c.RunActivity() | c.CancelActivity():
            return f"{type(command).__name__} {command.activity_id}"
        case c.StartTimer() | c.CancelTimer() | c.AwaitTimer():
            return f"{type(command).__name__} {command.timer_id}"
        case _:
            return type(command).__name__


async def charge_and_wait() -> None:
    await charge(1)
    await go.receive()
    await sleep(5)
    await ship()


def test_the_commands_of_each_activation_come_in_order_and_the_open_await_at_the_end() -> None:
    driver = lived(charge_and_wait)
    driver.complete("charge", 1)
    assert replayed(driver) == ["RunActivity activity:0", "AwaitSignal go 0"]
    driver.signal("go", 1)
    assert replayed(driver) == [
        "RunActivity activity:0",
        "AwaitSignal go 0",
        "StartTimer timer:0",
        "AwaitTimer timer:0",
    ]
    driver.fire()
    assert replayed(driver) == [
        "RunActivity activity:0",
        "AwaitSignal go 0",
        "StartTimer timer:0",
        "AwaitTimer timer:0",
        "RunActivity activity:1",
    ]


def test_after_the_end_nothing_is_awaited() -> None:
    driver = lived(lambda: charge(1))
    driver.complete("charge", 1)
    assert replayed(driver) == ["RunActivity activity:0", "CompleteWorkflow"]


def test_a_signal_received_from_the_buffer_is_an_await_in_its_place() -> None:
    async def code() -> None:
        await ship()
        await go.receive()
        await ship()

    driver = lived(code)
    driver.signal("go", 1)
    driver.complete("ship")
    assert replayed(driver) == [
        "RunActivity activity:0",
        "AwaitSignal go 0",
        "RunActivity activity:1",
    ]


def test_a_signal_taken_without_waiting_is_no_await() -> None:
    async def code() -> None:
        await ship()
        go.receive_nowait()
        await go.receive()

    driver = lived(code)
    driver.signal("go", 1)
    driver.complete("ship")
    assert replayed(driver) == ["RunActivity activity:0", "AwaitSignal go 1"]


def test_a_signal_dropped_for_its_payload_counts() -> None:
    driver = lived(go.receive)
    driver.signal("go", "misfit")
    assert replayed(driver) == ["AwaitSignal go 1"]
    driver.signal("go", 1)
    assert replayed(driver) == ["AwaitSignal go 1", "CompleteWorkflow"]


async def two_receivers() -> None:
    async def first() -> None:
        with move_on_after(5):
            await go.receive()

    async with open_nursery() as nursery:
        nursery.start_soon(first)
        nursery.start_soon(go.receive)


def test_receivers_of_one_name_await_one_signal_after_the_other() -> None:
    assert replayed(lived(two_receivers)) == [
        "StartTimer timer:0/0",
        "AwaitTimer timer:0/0",
        "AwaitSignal go 0",
        "AwaitSignal go 1",
    ]


def test_a_receiver_that_timed_out_consumes_nothing() -> None:
    driver = lived(two_receivers)
    driver.fire()
    assert replayed(driver)[2:] == ["AwaitSignal go 0"]
    driver.signal("go", 1)
    assert replayed(driver)[2:] == ["AwaitSignal go 0", "CompleteWorkflow"]


def test_what_is_open_is_awaited_the_oldest_first() -> None:
    async def code() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(go.receive)
            nursery.start_soon(sleep, 5)
            nursery.start_soon(Signal("stop", int).receive)
            nursery.start_soon(go.receive)

    assert replayed(lived(code))[-4:] == [
        "AwaitSignal go 0",
        "AwaitTimer timer:1/0",
        "AwaitSignal stop 0",
        "AwaitSignal go 1",
    ]


def test_an_open_activity_is_awaited_by_the_command_that_runs_it() -> None:
    assert replayed(lived(lambda: charge(1))) == ["RunActivity activity:0"]


def test_a_timer_that_was_taken_away_is_not_awaited() -> None:
    async def code() -> None:
        with move_on_after(5):
            await go.receive()
        await go.receive()

    driver = lived(code)
    driver.signal("go", 1)
    assert replayed(driver)[-2:] == ["CancelTimer timer:0", "AwaitSignal go 1"]


def test_a_run_ended_from_outside_still_awaits_what_it_waited_for() -> None:
    driver = lived(go.receive)
    driver.history.append(
        e.WorkflowTerminated(seq=2, recorded_at=at(9), workflow_id=W, reason="by hand")
    )
    assert replayed(driver) == ["AwaitSignal go 0"]


async def charge_then_ship() -> None:
    await charge(1)
    await ship()


async def charge_beside_ship() -> None:
    await gather(charge(1), ship())


def test_what_the_code_is_ahead_comes_before_the_open_awaits() -> None:
    async def grown() -> None:
        await charge(1)
        await gather(ship(), go.receive())

    async def before() -> None:
        await charge(1)
        await gather(go.receive())

    driver = lived(before)
    machine = machine_for(driver.history[0], main(grown))
    assert [words(each) for each in machine.replaying(driver.history)] == ["RunActivity activity:0"]
    driver.complete("charge", 1)
    assert replayed(driver, grown) == [
        "RunActivity activity:0",
        "RunActivity activity:0/0",
        "AwaitSignal go 0",
    ]


def test_a_machine_knows_what_it_is_ahead_and_where_it_stands() -> None:
    async def grown() -> None:
        await gather(charge(1), ship())

    async def before() -> None:
        await gather(charge(1))

    driver = lived(before)
    machine = machine_for(driver.history[0], main(grown))
    assert (machine.head, machine.ahead) == (0, [])
    machine.replay(driver.history)
    assert (machine.head, [words(each) for each in machine.ahead]) == (
        2,
        ["RunActivity activity:1/0"],
    )


def test_commands_that_fit_are_given_before_the_one_that_diverges_raises() -> None:
    async def changed() -> None:
        await charge(1)
        await sleep(5)

    driver = lived(charge_then_ship)
    driver.complete("charge", 1)
    commands = machine_for(driver.history[0], main(changed)).replaying(driver.history)
    assert words(next(commands)) == "RunActivity activity:0"
    with pytest.raises(NonDeterminismError):
        next(commands)


def test_each_activation_is_run_when_its_commands_are_asked_for() -> None:
    log: list[str] = []

    async def code() -> None:
        log.append("begun")
        await charge(1)
        log.append("charged")
        await ship()

    driver = lived(code)
    driver.complete("charge", 1)
    log.clear()
    commands = machine_for(driver.history[0], driver.code).replaying(driver.history)
    assert log == []
    next(commands)
    assert log == ["begun"]
    next(commands)
    assert log == ["begun", "charged"]


def test_only_the_events_of_the_machines_run_are_replayed() -> None:
    driver = lived(charge_then_ship)
    history = [
        start_of(driver, run_id=RunId("before")),
        e.WorkflowContinuedAsNew(
            seq=2,
            recorded_at=at(0),
            workflow_id=W,
            input=Payload(JSON, b"{}"),
            successor_run_id=RunId("run"),
        ),
        *(attrs.evolve(event, seq=event.seq + 2) for event in driver.history),
    ]
    machine = machine_for(history[2], driver.code)
    assert [words(each) for each in machine.replaying(history)] == ["RunActivity activity:0"]
    assert machine.head == 4


NOBODY_ASKED: dict[str, tuple[dict[str, object], str]] = {
    "UpdateAccepted": (
        {"update_id": "u", "name": "amend", "arg": Payload(JSON, b"1")},
        "the code has no handler",
    ),
    "ChildWorkflowCompleted": (
        {"child_key": "child:0", "result": Payload(JSON, b"1")},
        "the code never started it",
    ),
    "ChildWorkflowCancelled": ({"child_key": "child:0"}, "the code never started it"),
    "TimerFired": ({"timer_id": "timer:7", "started_seq": 1}, "the code waits for none such"),
}


@pytest.mark.parametrize(("kind", "case"), NOBODY_ASKED.items(), ids=NOBODY_ASKED)
def test_an_arrival_that_no_code_asked_for_is_named(
    kind: str, case: tuple[dict[str, object], str]
) -> None:
    fields, reason = case
    driver = lived(go.receive)
    arrival = getattr(e, kind)(seq=2, recorded_at=at(0), workflow_id=W, **fields)
    with pytest.raises(HistoryShapeError, match=reason):
        machine_for(driver.history[0], driver.code).replay([*driver.history, arrival])


def reopening(driver: Driver, from_seq: int, *activity_types: str) -> None:
    """The closed run is reopened: what an operator's command will do."""
    again = [
        e.ReopenedActivity(
            activity_id=event.activity_id,
            activity_type=event.activity_type,
            scheduled_seq=event.seq,
            attempt=2,
        )
        for event in driver.history
        if isinstance(event, e.ActivityScheduled) and event.activity_type in activity_types
    ]
    timers = [
        e.TimerRow(timer_id=event.timer_id, started_seq=event.seq, fire_at=event.fire_at)
        for event in driver.history
        if isinstance(event, e.TimerStarted) and event.seq < from_seq
    ]
    driver.history.append(
        e.WorkflowReopened(
            seq=len(driver.history) + 1,
            recorded_at=at(100),
            workflow_id=W,
            run_id=RunId("run"),
            from_seq=from_seq,
            reopened=tuple(again),
            timers=tuple(timers),
        )
    )
    driver.at = 100
    driver.reload()


def test_a_reopened_run_goes_on_from_before_its_failure() -> None:
    driver = lived(charge_then_ship)
    driver.fail("charge")
    reopening(driver, 3, "charge")
    assert replayed(driver) == ["RunActivity activity:0"]
    assert kinds(driver.complete("charge", 1)) == ["ActivityCompleted", "ActivityScheduled"]
    assert kinds(driver.complete("ship")) == ["ActivityCompleted", "WorkflowCompleted"]


def test_a_signal_that_came_while_the_run_failed_is_there_after_the_reopening() -> None:
    async def code() -> None:
        try:
            await charge(1)
        except Exception:
            await ship()
            raise
        assert go.receive_nowait() == 7

    driver = lived(code)
    driver.fail("charge")
    driver.signal("go", 7)
    driver.complete("ship")
    reopening(driver, 3, "charge")
    assert kinds(driver.complete("charge", 1)) == ["ActivityCompleted", "WorkflowCompleted"]


def test_what_is_kept_by_a_reopening_is_applied_at_its_time() -> None:
    seen: list[object] = []

    async def receiver() -> None:
        await go.receive()
        seen.append(now())
        await sleep(5)

    async def code() -> None:
        await charge(1)
        async with open_nursery() as nursery:
            nursery.start_soon(receiver)
            nursery.start_soon(ship)

    driver = lived(code)
    driver.complete("charge", 1)
    driver.fail("ship")
    # Nobody takes it: it arrived in the activation after the failure, and before the end.
    history = driver.history
    signal = e.SignalReceived(
        seq=len(history),
        recorded_at=at(0),
        workflow_id=W,
        name="go",
        payload=Payload(JSON, b"7"),
        signal_id="s",
    )
    driver.history[-1:] = [signal, attrs.evolve(history[-1], seq=len(history) + 1)]
    driver.history.append(
        e.WorkflowReopened(
            seq=len(driver.history) + 1,
            recorded_at=at(100),
            workflow_id=W,
            run_id=RunId("run"),
            from_seq=5,
            reopened=(
                e.ReopenedActivity(
                    activity_id=driver.history[3].activity_id,  # type: ignore[attr-defined]  # ship's start
                    activity_type="ship",
                    scheduled_seq=4,
                    attempt=2,
                ),
            ),
        )
    )
    seen.clear()
    machine = machine_for(driver.history[0], driver.code)
    (timer,) = machine.replay(driver.history)
    assert seen == [at(100)]
    assert timer == c.StartTimer(TimerId("timer:0/0"), at(105))


def test_code_that_failed_by_itself_goes_on_at_the_reopening() -> None:
    async def broken() -> None:
        await charge(1)
        raise LookupError

    driver = lived(broken)
    driver.complete("charge", 1)
    again = Driver(main(charge_then_ship))
    again.history = driver.history
    reopening(again, 4)
    assert again.run.is_ahead
    assert kinds(again.step().events) == ["ActivityScheduled"]
    again.reload()
    assert kinds(again.complete("ship")) == ["ActivityCompleted", "WorkflowCompleted"]


def test_what_a_reopening_kept_is_void_once_the_code_has_ended() -> None:
    async def code() -> None:
        with move_on_after(5):
            await go.receive()

    driver = lived(code)
    payload = Payload(JSON, b"7")
    events: list[tuple[type[e.HistoryEvent], dict[str, object]]] = [
        (e.WorkflowCancelRequested, {"reason": "enough"}),
        (e.SignalReceived, {"name": "go", "payload": payload}),
        (e.TimerFired, {"timer_id": "timer:0", "started_seq": 2}),
        (e.WorkflowCancelled, {"reason": "enough"}),
        (e.WorkflowReopened, {"run_id": "run", "from_seq": 3}),
        (e.TimerCancelled, {"timer_id": "timer:0"}),
        (e.WorkflowCompleted, {"result": Payload(JSON, b"null")}),
    ]
    driver.history += [
        cls(seq=seq, recorded_at=at(seq), workflow_id=W, **fields)
        for seq, (cls, fields) in enumerate(events, 3)
    ]
    assert replayed(driver) == [
        "StartTimer timer:0",
        "AwaitSignal go 0",
        "CancelTimer timer:0",
        "CompleteWorkflow",
    ]


def test_the_last_reopening_counts() -> None:
    driver = lived(charge_then_ship)
    driver.fail("charge")
    reopening(driver, 3, "charge")
    driver.fail("charge")
    reopening(driver, 6, "charge")
    assert replayed(driver) == ["RunActivity activity:0"]
    assert driver.row("charge").scheduled_seq == 2


def test_a_timer_before_the_cut_fires_after_the_reopening() -> None:
    async def code() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 500)
            nursery.start_soon(charge, 1)

    driver = lived(code)
    driver.fail("charge")
    reopening(driver, 4, "charge")
    driver.complete("charge", 1)
    assert kinds(driver.fire()) == ["TimerFired", "WorkflowCompleted"]


def finished(driver: Driver, fn: Code | None = None) -> WorkflowMachine:
    machine = machine_for(driver.history[0], driver.code if fn is None else main(fn))
    machine.replay(driver.history)
    return machine


def run_on(machine: WorkflowMachine, driver: Driver) -> Run:
    def no_code(name: str) -> Workflow[..., object]:
        raise AssertionError(f"{name} was looked for")

    return Run(W, driver.history, no_code, CONVERTER, nullcontext, machine)


def test_a_run_goes_on_with_a_machine_that_stands_at_the_end() -> None:
    driver = lived(charge_then_ship)
    run = run_on(finished(driver), driver)
    step = run.step([driver.completed("charge", 1)], at(1))
    assert kinds(step.events) == ["ActivityCompleted", "ActivityScheduled"]


def test_a_run_finds_the_definitions_of_its_open_activities_in_the_machine() -> None:
    driver = lived(charge_then_ship)
    event, definition = run_on(finished(driver), driver).call_of(driver.row("charge"))
    assert (event, definition) == (driver.history[1], charge)


def test_a_run_takes_over_what_its_machine_is_ahead() -> None:
    async def before() -> None:
        await gather(charge(1))

    driver = lived(before)
    run = run_on(finished(driver, charge_beside_ship), driver)
    assert run.is_ahead
    assert kinds(run.step([], at(1)).events) == ["ActivityScheduled"]


@pytest.mark.parametrize("length", [1, 3])
def test_a_machine_that_stands_elsewhere_is_refused(length: int) -> None:
    driver = lived(charge_then_ship)
    driver.complete("charge", 1)
    machine = machine_for(driver.history[0], driver.code)
    machine.replay(driver.history[:length])
    with pytest.raises(HistoryShapeError, match=f"stands at event {length}"):
        run_on(machine, driver)


def test_a_machine_of_another_run_is_refused() -> None:
    driver = lived(charge_then_ship)
    other = [start_of(driver, run_id=RunId("other")), driver.history[1]]
    machine = machine_for(other[0], driver.code)
    machine.replay(other)
    with pytest.raises(HistoryShapeError, match="machine of run other stands"):
        run_on(machine, driver)


def test_signals_dropped_in_the_replay_are_not_reported_again() -> None:
    driver = lived(go.receive)
    driver.signal("go", "misfit")
    assert run_on(finished(driver), driver).take_dropped_signals() == []


def test_the_projection_of_a_run_does_not_depend_on_who_replayed() -> None:
    driver = lived(charge_then_ship)
    driver.complete("charge", 1)
    fresh = Run(WorkflowId("w"), driver.history, catalog_of(driver.code), CONVERTER, nullcontext)
    assert vars(run_on(finished(driver), driver).projection) == vars(fresh.projection)
    fresh.close()
