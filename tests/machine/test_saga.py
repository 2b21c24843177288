"""Sagas: what was done is undone, the last first, when what follows fails or is cancelled."""

from functools import partial

import attrs
import pytest

from aion_core import events as e
from aion_core.authoring.activities import activity
from aion_core.authoring.sagas import Saga, saga
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, sleep
from aion_core.authoring.workflows import workflow
from aion_core.errors import ApplicationError, Cancelled, WorkflowUsageError
from aion_core.machine import arrivals as a
from tests.machine.driver import FAILURE, Driver, check_replays, driven, kinds

go = Signal("go", int)


@activity
async def charge(amount: int) -> int:
    return amount


@activity
async def refund(amount: int, *, why: str = "") -> None: ...


@activity
async def release(item: str) -> None: ...


async def order() -> None:
    async with saga() as s:
        await charge(3)
        s.compensate(partial(refund, why="no stock"), 3)
        s.compensate(release, "a")
        await go.receive()
        raise ApplicationError("no stock")


def failing() -> Driver:
    driver = driven(order)
    driver.complete("charge", 3)
    driver.signal("go", 1)
    return driver


def asked(driver: Driver) -> list[tuple[str, bytes]]:
    return [
        (event.activity_type, event.input.data)
        for event in driver.history
        if isinstance(event, e.ActivityScheduled)
    ]


def test_compensations_run_in_reverse_one_after_the_other() -> None:
    driver = failing()
    assert asked(driver)[1:] == [("release", b'{"item":"a"}')]
    driver.complete("release")
    assert asked(driver)[2:] == [("refund", b'{"amount":3,"why":"no stock"}')]
    driver.complete("refund")
    assert (driver.failure.type, driver.failure.message) == ("ApplicationError", "no stock")
    check_replays(driver)


def test_a_saga_that_comes_to_its_end_undoes_nothing() -> None:
    async def main() -> None:
        async with saga() as s:
            s.compensate(release, "a")

    assert kinds(driven(main).history) == ["WorkflowStarted", "WorkflowCompleted"]


def test_what_was_not_done_is_not_undone() -> None:
    driver = driven(order)
    assert kinds(driver.fail("charge")) == ["ActivityFailed", "WorkflowFailed"]
    check_replays(driver)


def test_a_cancelled_run_compensates_and_is_cancelled() -> None:
    driver = driven(order)
    driver.complete("charge", 3)
    assert kinds(driver.cancel_run()) == ["WorkflowCancelRequested", "ActivityScheduled"]
    driver.complete("release")
    assert kinds(driver.complete("refund")) == ["ActivityCompleted", "WorkflowCancelled"]
    check_replays(driver)


def test_a_cancelled_scope_compensates_and_goes_on_after_it() -> None:
    async def main() -> None:
        with move_on_after(10) as scope:
            async with saga() as s:
                s.compensate(release, "a")
                await go.receive()
        assert scope.cancelled_caught
        await sleep(1)

    driver = driven(main)
    assert kinds(driver.fire()) == ["TimerFired", "ActivityScheduled"]
    assert kinds(driver.complete("release")) == ["ActivityCompleted", "TimerStarted"]
    check_replays(driver)


def test_a_request_to_cancel_does_not_stop_a_compensation() -> None:
    driver = failing()
    assert kinds(driver.cancel_run()) == ["WorkflowCancelRequested"]
    driver.complete("release")
    driver.complete("refund")
    assert driver.failure.message == "no stock"
    check_replays(driver)


def test_a_compensation_that_fails_lets_the_others_run_and_is_told() -> None:
    driver = failing()
    driver.fail("release")
    assert asked(driver)[2:] == [("refund", b'{"amount":3,"why":"no stock"}')]
    driver.complete("refund")
    failure = driver.failure
    assert failure.type == "ExceptionGroup"
    assert [member.type for member in failure.members] == ["ActivityError"]
    assert failure.members[0].cause == attrs.evolve(FAILURE, kind="terminal")
    assert failure.cause is not None
    assert failure.cause.message == "no stock"
    check_replays(driver)


def test_a_cancelled_run_whose_compensation_fails_has_failed() -> None:
    driver = driven(order)
    driver.complete("charge", 3)
    driver.cancel_run()
    driver.fail("release")
    driver.complete("refund")
    assert driver.failure.type == "ExceptionGroup"
    check_replays(driver)


def test_a_compensation_that_is_cancelled_has_failed() -> None:
    async def stop() -> None:
        raise Cancelled

    async def main() -> None:
        with move_on_after(10):
            async with saga() as s:
                s.compensate(stop)
                await go.receive()

    driver = driven(main)
    driver.fire()
    (member,) = driver.failure.members
    assert (member.type, member.message) == (
        "CompensationCancelled",
        "the compensation stop was cancelled before it was done",
    )


def test_a_plain_function_is_no_compensation() -> None:
    def plain() -> None: ...

    async def main() -> None:
        async with saga() as s:
            s.compensate(plain)  # type: ignore[arg-type]
            raise ApplicationError("no")

    (member,) = driven(main).failure.members
    assert member.message.startswith("compensate takes an async function or an activity")


def test_what_cannot_be_called_is_refused_at_once() -> None:
    async def main() -> None:
        async with saga() as s:
            with pytest.raises(TypeError, match=r"write s\.compensate\(refund, receipt\)"):
                s.compensate(7)  # type: ignore[arg-type]

    assert kinds(driven(main).history)[-1] == "WorkflowCompleted"


def test_a_saga_takes_compensations_while_it_is_open() -> None:
    async def main() -> None:
        s = Saga()
        with pytest.raises(WorkflowUsageError, match="this saga is not open"):
            s.compensate(release, "a")
        async with s:
            with pytest.raises(WorkflowUsageError, match="entered once"):
                await s.__aenter__()
        with pytest.raises(WorkflowUsageError, match="this saga is not open"):
            s.compensate(release, "a")

    assert kinds(driven(main).history)[-1] == "WorkflowCompleted"


def test_sagas_nest_and_the_inner_one_is_undone_first() -> None:
    async def main() -> None:
        async with saga() as outer:
            outer.compensate(refund, 1)
            async with saga() as inner:
                inner.compensate(release, "a")
                raise ApplicationError("no")

    driver = driven(main)
    driver.complete("release")
    assert [name for name, _ in asked(driver)] == ["release", "refund"]


def test_continuing_as_new_undoes_nothing() -> None:
    @workflow
    async def main(is_second: bool) -> None:
        if not is_second:
            async with saga() as s:
                s.compensate(release, "a")
                main.continue_as_new(True)

    driver = Driver(main)
    assert kinds(driver.start(is_second=False)) == [
        "WorkflowStarted",
        "WorkflowContinuedAsNew",
        "WorkflowStarted",
        "WorkflowCompleted",
    ]


def test_a_run_that_is_thrown_away_undoes_nothing() -> None:
    driver = driven(order)
    driver.complete("charge", 3)
    driver.reload()
    assert asked(driver) == [("charge", b'{"amount":3}')]


def test_an_activity_cancelled_in_a_saga_is_settled_before_anything_is_undone() -> None:
    async def main() -> None:
        async with saga() as s:
            s.compensate(release, "a")
            await charge(3)
            await go.receive()

    driver = driven(main)
    assert kinds(driver.cancel_run()) == ["WorkflowCancelRequested", "ActivityCancelRequested"]
    step = driver.step(driver.outcome(driver.row("charge"), a.AttemptCancelled(None)))
    assert kinds(step.events) == ["ActivityCancelled", "ActivityScheduled"]
    check_replays(driver)
