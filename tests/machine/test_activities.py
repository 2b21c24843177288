"""Activities in a workflow: calls, outcomes, keys, and what cancelling one means."""

from decimal import Decimal
from typing import Any

import pytest

from aion_core import events as e
from aion_core.authoring.activities import activity
from aion_core.authoring.concurrency import gather
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, sleep
from aion_core.authoring.workflows import workflow
from aion_core.errors import (
    ActivityError,
    Cancelled,
    InvalidIdError,
    PayloadError,
    WorkflowUsageError,
)
from aion_core.failures import Failure
from aion_core.machine.kernel import checkpoint
from aion_core.machine.nursery import open_nursery
from aion_core.machine.scopes import CancelScope
from tests.machine.driver import Driver, check_replays, driven, kinds

go = Signal("go", int)


@activity(start_to_close=30)
async def charge(amount: Decimal) -> str:
    return str(amount)


@activity
def refund() -> None: ...


def open_ids(driver: Driver) -> list[str]:
    return list(driver.run.projection.activities)


def test_a_call_is_recorded_with_input_and_options() -> None:
    async def main() -> None:
        await charge(Decimal("1.5"))

    (_, scheduled) = driven(main).history
    assert isinstance(scheduled, e.ActivityScheduled)
    assert (scheduled.activity_id, scheduled.activity_type) == ("activity:0", "charge")
    assert scheduled.input.data == b'{"amount":"1.5"}'
    assert scheduled.options.start_to_close == 30


def test_the_result_comes_back_by_its_annotation() -> None:
    @workflow
    async def main() -> str:
        return await charge(Decimal(1))

    driver = Driver(main)
    driver.start()
    driver.complete("charge", "receipt")
    assert driver.result == "receipt"


def test_the_outcome_of_one_call_and_the_next_call_are_one_group() -> None:
    async def main() -> None:
        await charge(Decimal(1))
        await refund()

    driver = driven(main)
    assert kinds(driver.complete("charge", "receipt")) == ["ActivityCompleted", "ActivityScheduled"]


def test_calls_of_a_task_are_counted_in_it() -> None:
    async def twice() -> None:
        await refund()
        await refund()

    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(twice)
            nursery.start_soon(twice)
            await refund()

    driver = driven(main)
    first = open_ids(driver)
    for _ in range(3):
        driver.complete("refund")
    assert first == ["activity:0", "activity:0/0", "activity:1/0"]
    assert open_ids(driver) == ["activity:0/1", "activity:1/1"]


def test_a_failed_activity_raises_with_its_facts() -> None:
    @workflow
    async def main() -> list[str]:
        with pytest.raises(ActivityError) as info:
            await charge(Decimal(1))
        error = info.value
        return [error.activity_id, error.activity_type, str(error.kind), error.type, error.message]

    driver = Driver(main)
    driver.start()
    driver.fail("charge")
    assert driver.result == ["activity:0", "charge", "terminal", "Declined", "no money"]


def test_an_argument_that_does_not_fit_fails_at_the_call_and_records_nothing() -> None:
    async def main() -> None:
        await charge("1.5")  # type: ignore[arg-type]

    driver = driven(main)
    assert driver.failure.message == "$.amount: expected Decimal, got str"
    assert kinds(driver.history) == ["WorkflowStarted", "WorkflowFailed"]


def test_a_recorded_result_that_does_not_fit_any_more_fails_the_call() -> None:
    async def main() -> None:
        await charge(Decimal(1))

    driver = driven(main)
    driver.complete("charge", 7)
    assert driver.failure.message == "$: expected str, got int"


def test_a_key_names_the_call_and_takes_no_position() -> None:
    async def main() -> None:
        await gather(refund.options(key="k")(), refund())

    assert open_ids(driven(main)) == ["activity:key:k", "activity:1/0"]


def test_a_key_is_unique_in_the_run() -> None:
    async def main() -> None:
        await gather(refund.options(key="k")(), refund.options(key="k")())

    driver = driven(main)
    driver.cancel("refund")
    (error,) = driver.failure.members
    assert error.message == (
        "the key 'k' is used twice in this run; give every activity call its own"
    )


def test_a_key_stays_used_after_the_outcome() -> None:
    @workflow
    async def main() -> None:
        await refund.options(key="k")()
        with pytest.raises(WorkflowUsageError):
            await refund.options(key="k")()

    driver = Driver(main)
    driver.start()
    driver.complete("refund")
    assert driver.result is None


def test_a_cancelled_scope_lets_no_call_begin() -> None:
    async def main() -> None:
        with CancelScope() as scope:
            scope.cancel()
            await refund()

    assert kinds(driven(main).history) == ["WorkflowStarted", "WorkflowCompleted"]


def cancelling() -> Driver:
    """A run that waits for an activity which it has asked to stop."""

    @workflow
    async def main() -> list[str]:
        log = []
        with move_on_after(5) as scope:
            try:
                log.append(await charge(Decimal(1)))
                await checkpoint()
                log.append("never")
            except Cancelled:
                log.append("cancelled")
                raise
            except ActivityError as error:
                log.append(f"failed: {error.kind}")
        log.append(str(scope.cancelled_caught))
        return log

    driver = Driver(main)
    driver.start()
    driver.fire()
    return driver


def test_cancelling_an_activity_asks_it_to_stop_and_waits() -> None:
    driver = cancelling()
    assert kinds(driver.history)[-2:] == ["TimerFired", "ActivityCancelRequested"]
    assert driver.run.is_open


def test_a_cancelled_activity_that_stopped_raises_cancelled() -> None:
    driver = cancelling()
    driver.cancel("charge")
    assert driver.result == ["cancelled", "True"]


def test_a_cancelled_activity_that_completed_returns_and_the_next_checkpoint_raises() -> None:
    driver = cancelling()
    driver.complete("charge", "receipt")
    assert driver.result == ["receipt", "cancelled", "True"]


def test_a_cancelled_activity_that_failed_raises_its_error() -> None:
    driver = cancelling()
    driver.fail("charge", non_retryable=False)
    assert driver.result == ["failed: terminal", "False"]


def test_an_activity_is_asked_to_stop_once() -> None:
    async def main() -> None:
        with CancelScope() as outer, CancelScope() as inner:
            async with open_nursery() as nursery:
                nursery.start_soon(refund)
                await go.receive()
                inner.cancel()
                outer.cancel()
                nursery.cancel_scope.cancel()

    driver = driven(main)
    assert kinds(driver.signal("go", 1)) == ["SignalReceived", "ActivityCancelRequested"]


def test_a_call_cancelled_in_the_activation_that_issued_it_is_recorded_with_the_request() -> None:
    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(refund)
            await checkpoint()
            nursery.cancel_scope.cancel()

    assert kinds(driven(main).history) == [
        "WorkflowStarted",
        "ActivityScheduled",
        "ActivityCancelRequested",
    ]


def test_a_shielded_activity_is_not_asked_to_stop() -> None:
    async def main() -> None:
        with move_on_after(5), CancelScope(shield=True):
            await refund()

    driver = driven(main)
    assert kinds(driver.fire()) == ["TimerFired"]


def test_a_shield_taken_away_asks_the_activity_to_stop() -> None:
    async def main() -> None:
        with CancelScope() as scope:
            async with open_nursery() as nursery:
                shield = CancelScope(shield=True)
                nursery.start_soon(shielded, shield)
                await go.receive()
                scope.cancel()
                with CancelScope(shield=True):
                    await go.receive()
                shield.shield = False

    async def shielded(shield: CancelScope) -> None:
        with shield:
            await refund()

    driver = driven(main)
    assert kinds(driver.signal("go", 1)) == ["SignalReceived"]
    assert kinds(driver.signal("go", 1)) == ["SignalReceived", "ActivityCancelRequested"]


def test_a_failed_sibling_has_the_others_stopped_and_waited_for() -> None:
    async def main() -> None:
        await gather(charge(Decimal(1)), refund())

    driver = driven(main)
    assert kinds(driver.fail("charge")) == ["ActivityFailed", "ActivityCancelRequested"]
    assert kinds(driver.cancel("refund")) == ["ActivityCancelled", "WorkflowFailed"]
    assert [member.type for member in driver.failure.members] == ["ActivityError"]


def test_an_error_of_the_code_is_the_failure_of_the_run() -> None:
    async def main() -> None:
        raise ValueError("mine")

    failure = driven(main).failure
    assert (failure.type, failure.message) == ("ValueError", "mine")


def test_a_result_that_cannot_be_stored_fails_the_run_with_the_path() -> None:
    @workflow
    async def main() -> list[Decimal]:
        return [Decimal(1), "2"]  # type: ignore[list-item]

    driver = Driver(main)
    driver.start()
    assert driver.failure == Failure(
        type="PayloadError",
        message="$[1]: expected Decimal, got str",
        cause=driver.failure.cause,
        stack=driver.failure.stack,
    )


def test_an_input_that_does_not_fit_fails_the_run() -> None:
    @workflow
    async def main(amount: Decimal) -> None: ...

    driver = Driver(main)
    driver.start(amount=1)
    assert driver.failure.message == "$.amount: expected Decimal as text, got int"


def test_an_activity_that_is_waited_for_costs_nothing_else() -> None:
    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 1)
            await refund()

    driver = driven(main)
    assert kinds(driver.fire()) == ["TimerFired"]


def test_a_call_that_cannot_be_stored_is_not_answered_by_another_of_its_key() -> None:
    async def main() -> None:
        with pytest.raises(PayloadError):
            await charge.options(key="k")("much")  # type: ignore[arg-type]
        await charge.options(key="k")(Decimal(1))

    driver = driven(main)
    driver.reload()
    driver.complete("charge", "1")
    assert kinds(driver.history)[-1] == "WorkflowCompleted"
    check_replays(driver)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"retry": 5}, "retry is a RetryPolicy, not 5"),
        ({"on_cancel": "stop"}, "on_cancel is 'wait' or 'abandon', not 'stop'"),
        ({"key": 5}, "key 5 must be non-empty printable text"),
    ],
)
def test_what_cannot_be_a_setting_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError, InvalidIdError), match=message):
        charge.options(**settings)
