"""A divergence names the line of the author's code that asked for something else."""

import inspect
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

import attrs
import pytest

from aion_core.authoring.activities import activity
from aion_core.authoring.concurrency import gather
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import fail_after, move_on_after, sleep
from aion_core.authoring.workflows import Workflow, workflow
from aion_core.errors import NonDeterminismError
from aion_core.machine.nursery import open_nursery
from aion_core.machine.workflow_machine import WorkflowMachine
from tests.machine.driver import CONVERTER, Driver, machine_for

Code = Callable[[], Awaitable[object]]

go = Signal("go", int)


@activity
async def charge() -> None: ...


@activity
async def ship() -> None: ...


def main(fn: Code) -> Workflow[[], None]:
    async def body() -> None:
        await fn()

    return workflow(name="main")(body)


def divergence(driver: Driver, fn: Code) -> NonDeterminismError:
    machine = machine_for(driver.history[0], main(fn))
    with pytest.raises(NonDeterminismError) as info:
        machine.replay(driver.history)
    return info.value


def charged() -> Driver:
    """Its history: the start, a call of charge, its outcome, a call of charge."""

    async def code() -> None:
        await charge()
        await charge()

    driver = Driver(main(code))
    driver.start()
    driver.complete("charge")
    return driver


def named_line(error: NonDeterminismError) -> str:
    """The line of source that an error names, without its indentation."""
    assert error.file == __file__
    assert error.line is not None
    lines, _ = inspect.getsourcelines(sys.modules[__name__])
    return lines[error.line - 1].strip()


async def calls_another() -> None:
    await charge()
    await ship()  # here


async def helper() -> None:
    await ship()  # in a helper


async def calls_in_a_helper() -> None:
    await charge()
    await helper()


async def gathers() -> None:
    await charge()
    await gather(ship(), charge())  # gathered


async def starts_a_task() -> None:
    await charge()
    async with open_nursery() as nursery:
        nursery.start_soon(ship)  # started


async def calls_in_a_task() -> None:
    await charge()
    async with open_nursery() as nursery:
        nursery.start_soon(helper)


async def sleeps() -> None:
    await charge()
    await sleep(5)  # asleep


async def has_a_deadline() -> None:
    await charge()
    with move_on_after(5):  # limited
        await charge()


async def fails_too_late() -> None:
    await charge()
    with fail_after(5):  # too slow
        await charge()


async def raises() -> None:
    await charge()
    raise LookupError("none")  # raised


@pytest.mark.parametrize(
    ("fn", "line"),
    [
        (calls_another, "await ship()  # here"),
        (calls_in_a_helper, "await ship()  # in a helper"),
        (gathers, "await gather(ship(), charge())  # gathered"),
        (starts_a_task, "nursery.start_soon(ship)  # started"),
        (calls_in_a_task, "await ship()  # in a helper"),
        (sleeps, "await sleep(5)  # asleep"),
        (has_a_deadline, "with move_on_after(5):  # limited"),
        (fails_too_late, "with fail_after(5):  # too slow"),
        (raises, 'raise LookupError("none")  # raised'),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_the_line_that_asked_is_named(fn: Code, line: str) -> None:
    assert named_line(divergence(charged(), fn)) == line


async def cancels() -> None:
    async with open_nursery() as nursery:
        nursery.start_soon(charge)
        await go.receive()
        nursery.cancel_scope.cancel()  # cancelled


async def returns_after_a_signal() -> None:
    async with open_nursery() as nursery:
        nursery.start_soon(charge)
        await go.receive()
    await ship()


def test_the_line_that_cancelled_is_named() -> None:
    driver = Driver(main(returns_after_a_signal))
    driver.start()
    driver.signal("go", 1)
    driver.complete("charge")
    error = divergence(driver, cancels)
    assert error.found == "ActivityCancelRequested (activity:0/0)"
    assert named_line(error) == "nursery.cancel_scope.cancel()  # cancelled"


def test_the_line_of_clean_up_code_is_named() -> None:
    async def code() -> None:
        with move_on_after(5):
            await go.receive()
        await ship()

    driver = Driver(main(code))
    driver.start()
    driver.fire()

    async def changed() -> None:
        with move_on_after(5):
            await asks_late()

    async def asks_late() -> None:
        try:
            await go.receive()
        finally:
            with move_on_after(3, shield=True):  # clean-up
                await go.receive()

    assert named_line(divergence(driver, changed)) == (
        "with move_on_after(3, shield=True):  # clean-up"
    )


def test_the_line_that_started_the_activity_is_named_where_no_line_awaits_it() -> None:
    async def code() -> None:
        with move_on_after(5):
            async with open_nursery() as nursery:
                nursery.start_soon(charge)
                await go.receive()

    driver = Driver(main(code))
    driver.start()
    driver.fire()
    driver.history[-1] = attrs.evolve(driver.history[-1], activity_id="activity:9")  # type: ignore[call-arg]  # it is a request
    error = divergence(driver, code)
    assert error.found == "ActivityCancelRequested (activity:0/0)"
    assert named_line(error) == "nursery.start_soon(charge)"


async def limits() -> None:
    with move_on_after(5):
        await charge()  # too long


def test_the_line_that_waits_for_what_a_deadline_cancels_is_named() -> None:
    driver = Driver(main(limits))
    driver.start()
    driver.fire()
    driver.history[-1] = attrs.evolve(driver.history[-1], activity_id="activity:9")  # type: ignore[call-arg]  # it is a request
    assert named_line(divergence(driver, limits)) == "await charge()  # too long"


async def returns_early() -> None:
    await charge()


def test_where_the_code_ends_the_line_of_its_definition_is_named() -> None:
    error = divergence(charged(), returns_early)
    assert error.found == "WorkflowCompleted"
    assert named_line(error) == "async def body() -> None:"


async def waits_for_a_signal() -> None:
    await charge()
    await go.receive()  # waits


def test_where_the_code_asks_for_nothing_the_line_that_waits_is_named() -> None:
    error = divergence(charged(), waits_for_a_signal)
    assert error.found == "nothing more in this step"
    assert named_line(error) == "await go.receive()  # waits"


def test_the_message_has_all_that_its_reader_needs() -> None:
    error = divergence(charged(), calls_another)
    assert str(error) == (
        "workflow 'w' no longer fits its history: at event 4 history holds ActivityScheduled of "
        "'charge' (activity:1), but the code asked for ActivityScheduled of 'ship' (activity:1) "
        f"({__file__}, line {error.line}); the last point in common is event 3: "
        "ActivityCompleted (activity:0); restore the former code, or start new runs under a new "
        "name"
    )


def test_at_the_first_command_the_start_is_in_common() -> None:
    error = divergence(charged(), helper)
    assert (error.seq, error.last_common) == (2, "event 1: WorkflowStarted")


def test_the_last_intent_in_common_is_named() -> None:
    async def code() -> None:
        await gather(charge(), ship())

    async def changed() -> None:
        await gather(charge(), charge())

    driver = Driver(main(code))
    driver.start()
    error = divergence(driver, changed)
    assert error.last_common == "event 2: ActivityScheduled of 'charge' (activity:0/0)"


def test_places_are_kept_only_by_a_machine_that_is_asked_to() -> None:
    driver = charged()
    machine = machine_for(driver.history[0], driver.code)
    machine.replay(driver.history)
    assert machine.environment.places is None


def test_code_that_fits_the_second_time_keeps_the_divergence_of_the_first() -> None:
    calls = iter([ship, charge])

    async def moody() -> None:
        await charge()
        await next(calls)()

    error = divergence(charged(), moody)
    assert (error.seq, error.file, error.line) == (4, None, None)


def test_the_machine_that_finds_places_is_thrown_away() -> None:
    log: list[str] = []

    async def code() -> None:
        try:
            await charge()
            await ship()
        finally:
            log.append("clean-up")

    history = charged().history
    started = history[0]
    machine = WorkflowMachine(started, main(code), CONVERTER, nullcontext)  # type: ignore[arg-type]  # it is the start
    with pytest.raises(NonDeterminismError):
        machine.replay(history)
    assert log == ["clean-up"]
    machine.close()
    assert log == ["clean-up", "clean-up"]
