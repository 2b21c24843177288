"""Code that changed while its runs were open: what no longer fits is named, what is new goes on."""

from collections.abc import Awaitable, Callable

import pytest

from aion_core.authoring.activities import activity
from aion_core.authoring.concurrency import gather
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, sleep
from aion_core.authoring.workflows import Workflow, workflow
from aion_core.errors import HistoryShapeError, NonDeterminismError
from tests.machine.driver import Driver, at, kinds, machine_for, resident

go = Signal("go", int)


@activity
async def charge() -> None: ...


@activity
async def ship() -> None: ...


@activity
async def audit() -> None: ...


Code = Callable[[], Awaitable[None]]


def main(fn: Code) -> Workflow[[], None]:
    async def body() -> None:
        await fn()

    return workflow(name="main")(body)


async def charge_then_ship() -> None:
    await charge()
    await ship()
    await go.receive()


def waiting_for_ship() -> Driver:
    driver = Driver(main(charge_then_ship))
    driver.start()
    driver.complete("charge")
    return driver


def waiting_for_the_signal() -> Driver:
    driver = waiting_for_ship()
    driver.complete("ship")
    return driver


def divergence(driver: Driver, changed: Code) -> NonDeterminismError:
    with pytest.raises(NonDeterminismError) as info:
        resident(driver.history, main(changed))
    return info.value


async def ship_then_charge() -> None:
    await ship()
    await charge()
    await go.receive()


async def ship_alone() -> None:
    await ship()
    await go.receive()


async def audit_then_ship() -> None:
    await audit()
    await ship()
    await go.receive()


async def audit_in_the_middle() -> None:
    await charge()
    await audit()
    await ship()
    await go.receive()


async def audit_beside() -> None:
    await charge()
    await gather(ship(), audit())
    await go.receive()


async def sleep_instead() -> None:
    await charge()
    await sleep(5)
    await go.receive()


async def end_early() -> None:
    await charge()


async def fail_early() -> None:
    await charge()
    raise ValueError("mine")


async def keyed() -> None:
    await charge()
    await ship.options(key="k")()
    await go.receive()


async def in_a_task() -> None:
    await charge()
    await gather(ship())
    await go.receive()


SCHEDULED = "ActivityScheduled of '{}' ({})"
CHARGE, SHIP = (SCHEDULED.format("charge", "activity:0"), SCHEDULED.format("ship", "activity:1"))


@pytest.mark.parametrize(
    ("changed", "seq", "expected", "found"),
    [
        (ship_then_charge, 2, CHARGE, SCHEDULED.format("ship", "activity:0")),
        (ship_alone, 2, CHARGE, SCHEDULED.format("ship", "activity:0")),
        (audit_then_ship, 2, CHARGE, SCHEDULED.format("audit", "activity:0")),
        (audit_in_the_middle, 4, SHIP, SCHEDULED.format("audit", "activity:1")),
        (audit_beside, 4, SHIP, SCHEDULED.format("ship", "activity:0/0")),
        (sleep_instead, 4, SHIP, "TimerStarted (timer:0)"),
        (keyed, 4, SHIP, SCHEDULED.format("ship", "activity:key:k")),
        (in_a_task, 4, SHIP, SCHEDULED.format("ship", "activity:0/0")),
        (end_early, 4, SHIP, "WorkflowCompleted"),
        (fail_early, 4, SHIP, "WorkflowFailed (ValueError: mine)"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_divergence_names_the_place_and_both_sides(
    changed: Code, seq: int, expected: str, found: str
) -> None:
    error = divergence(waiting_for_the_signal(), changed)
    assert (error.workflow_id, error.seq, error.expected, error.found) == (
        "w",
        seq,
        expected,
        found,
    )


async def nothing_more() -> None:
    await charge()
    await go.receive()


def test_a_call_that_is_gone_is_missed_where_it_was_recorded() -> None:
    error = divergence(waiting_for_ship(), nothing_more)
    assert (error.seq, error.expected, error.found) == (4, SHIP, "nothing more in this step")


def test_a_call_that_is_new_before_a_recorded_arrival_is_found_there() -> None:
    async def changed() -> None:
        await gather(charge(), audit())
        await ship()
        await go.receive()

    async def before() -> None:
        await gather(charge())
        await ship()
        await go.receive()

    driver = Driver(main(before))
    driver.start()
    driver.complete("charge")
    error = divergence(driver, changed)
    assert (error.seq, error.expected, error.found) == (
        3,
        "ActivityCompleted (activity:0/0)",
        SCHEDULED.format("audit", "activity:1/0"),
    )


def test_other_inputs_and_options_are_no_divergence() -> None:
    @activity
    async def pay(amount: int) -> None: ...

    async def before() -> None:
        await pay(1)

    async def changed() -> None:
        await pay.options(start_to_close=5)(2)

    driver = Driver(main(before))
    driver.start()
    run = resident(driver.history, main(changed))
    scheduled, _ = run.call_of(driver.row("pay"))
    assert scheduled == driver.history[1]


def test_an_activity_under_its_new_name_is_found_by_its_former_one() -> None:
    @activity(name="pay", aliases=("charge",))
    async def pay() -> None: ...

    async def renamed() -> None:
        await pay()
        await ship()
        await go.receive()

    driver = Driver(main(renamed), waiting_for_ship().history)
    assert kinds(driver.complete("ship")) == ["ActivityCompleted"]


def test_an_activity_under_a_new_name_alone_is_a_divergence() -> None:
    @activity(name="pay")
    async def pay() -> None: ...

    async def renamed() -> None:
        await pay()
        await ship()
        await go.receive()

    assert divergence(waiting_for_ship(), renamed).found == SCHEDULED.format("pay", "activity:0")


def test_another_time_is_no_divergence() -> None:
    async def before() -> None:
        await sleep(5)

    async def changed() -> None:
        await sleep(500)

    driver = Driver(main(before))
    driver.start()
    assert not resident(driver.history, main(changed)).is_ahead


def test_a_deadline_that_was_taken_away_is_a_divergence() -> None:
    async def before() -> None:
        with move_on_after(5):
            await go.receive()

    driver = Driver(main(before))
    driver.start()
    assert divergence(driver, go_receive).expected == "TimerStarted (timer:0)"


async def go_receive() -> None:
    await go.receive()


def test_changed_code_that_no_event_shows_is_fine() -> None:
    async def changed() -> None:
        await charge()
        await sleep(0)
        with move_on_after(5):
            pass
        await ship()
        await go.receive()

    assert not resident(waiting_for_ship().history, main(changed)).is_ahead


def test_code_that_has_grown_beyond_the_last_event_is_ahead() -> None:
    async def grown() -> None:
        await charge()
        await gather_free_ship()
        await go.receive()

    async def gather_free_ship() -> None:
        await ship()
        await audit()

    driver = waiting_for_the_signal()
    machine = machine_for(driver.history[0], main(grown))
    (command,) = machine.replay(driver.history)
    assert getattr(command, "activity_type", None) == "audit"


async def grown() -> None:
    await charge()
    await ship()
    await audit()
    await go.receive()


def ahead() -> Driver:
    return Driver(main(grown), waiting_for_the_signal().history)


def test_a_run_says_that_its_code_is_ahead() -> None:
    assert ahead().run.is_ahead


def test_the_next_step_records_first_what_the_code_is_ahead() -> None:
    driver = ahead()
    driver.at = 60
    step = driver.step(driver.signalled("go", 1))
    assert kinds(step.events) == ["ActivityScheduled", "SignalReceived"]
    assert [event.recorded_at for event in step.events] == [at(0), at(60)]


def test_a_step_without_arrivals_records_what_the_code_is_ahead() -> None:
    driver = ahead()
    assert kinds(driver.step().events) == ["ActivityScheduled"]
    assert not driver.run.is_ahead


def test_what_was_recorded_ahead_replays() -> None:
    driver = ahead()
    driver.step()
    driver.reload()
    assert not driver.run.is_ahead
    assert driver.row("audit").activity_id == "activity:2"


def test_code_that_ends_sooner_beyond_the_last_event_ends_in_the_next_step() -> None:
    async def sooner() -> None:
        await charge()
        await ship()

    driver = Driver(main(sooner), waiting_for_the_signal().history)
    step = driver.step(driver.signalled("go", 1))
    assert kinds(step.events) == ["WorkflowCompleted"]
    assert [type(refusal).__name__ for refusal in step.refusals] == ["WorkflowClosedError"]


def test_a_note_behind_the_last_group_does_not_keep_code_from_growing() -> None:
    async def changed() -> None:
        await gather(charge(), audit())

    async def before() -> None:
        await gather(charge())

    driver = Driver(main(before))
    driver.start()
    driver.fail("charge", non_retryable=False)
    again = Driver(main(changed), driver.history)
    assert kinds(again.step().events) == ["ActivityScheduled"]
    again.reload()
    assert again.row("charge").attempt == 2


def test_a_diverging_run_leaves_nothing_behind() -> None:
    log: list[str] = []

    async def changed() -> None:
        try:
            await ship()
        finally:
            log.append("cleaned up")

    divergence(waiting_for_ship(), changed)
    # Twice, because the place in the code is found by replaying once more.
    assert log == ["cleaned up", "cleaned up"]


def test_an_event_that_is_no_arrival_activates_nothing() -> None:
    history = waiting_for_ship().history
    machine = machine_for(history[0], main(charge_then_ship))
    with pytest.raises(
        HistoryShapeError, match=r"ActivityScheduled of 'charge' .* is not an arrival"
    ):
        machine.activate(history[1])
