"""What all primitives have in common: cancelled anywhere, and from outside of workflows."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aion_core import events as e
from aion_core.authoring.activities import activity
from aion_core.authoring.changes import patched, side_effect
from aion_core.authoring.concurrency import gather
from aion_core.authoring.concurrency import map as map_
from aion_core.authoring.drawing import uuid4
from aion_core.authoring.info import set_attributes
from aion_core.authoring.sagas import saga
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import (
    fail_after,
    move_on_after,
    sleep,
    sleep_until,
    start_timer,
)
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import workflow
from aion_core.errors import InvalidIdError, NotInWorkflowError
from aion_core.machine import arrivals as a
from aion_core.machine.predicates import wait_until
from aion_core.machine.scopes import CancelScope
from tests.machine.driver import FAILURE, Driver, check_replays, close_all, driven, kinds, payload

go = Signal("go", int)
add = Update("add", int, int)


@activity
async def charge(amount: int) -> int:
    return amount


@workflow
async def child(amount: int) -> int:
    return amount


async def receiving() -> None:
    await go.receive()


async def iterating() -> None:
    async for _ in go:
        pass


async def sleeping() -> None:
    await sleep(60)


async def timing() -> None:
    await start_timer("t", 60).wait()


async def within_a_time() -> None:
    with fail_after(60):
        await go.receive()


async def with_a_child() -> None:
    await (await child.spawn(1)).result()


async def on_a_condition() -> None:
    await wait_until(lambda: False)


async def several() -> None:
    await gather(go.receive(), sleep(60), on_a_condition())


AT_ONCE = [
    receiving,
    iterating,
    sleeping,
    timing,
    within_a_time,
    with_a_child,
    on_a_condition,
    several,
]


@pytest.mark.parametrize("code", AT_ONCE)
def test_a_wait_that_is_cancelled_ends_the_run_at_once(code: Callable[[], Awaitable[None]]) -> None:
    driver = driven(code)
    assert kinds(driver.cancel_run())[-1] == "WorkflowCancelled"
    check_replays(driver)


@pytest.mark.parametrize("code", AT_ONCE)
def test_a_wait_that_is_cancelled_can_be_followed_by_another(
    code: Callable[[], Awaitable[None]],
) -> None:
    async def main() -> None:
        with move_on_after(10):
            await code()
        await charge(1)

    driver = driven(main)
    driver.fire()
    driver.complete("charge", 1)
    assert kinds(driver.history)[-1] == "WorkflowCompleted"
    check_replays(driver)


async def an_activity() -> None:
    await charge(1)


async def a_child() -> None:
    await child(1)


async def a_signal() -> None:
    await go.send("other", 1)


async def a_side_effect() -> None:
    await side_effect(lambda: 1, int)


@pytest.mark.parametrize("code", [*AT_ONCE, an_activity, a_child, a_signal, a_side_effect])
def test_in_a_cancelled_scope_nothing_is_begun(code: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        with CancelScope() as scope:
            scope.cancel()
            await code()
        assert scope.cancelled_caught

    driver = driven(main)
    asked = [kind for kind in kinds(driver.history) if kind != "TimerStarted"]
    assert asked == ["WorkflowStarted", "WorkflowCompleted"]
    check_replays(driver)


@pytest.mark.parametrize(
    "code", [receiving, sleeping, a_signal, a_side_effect, on_a_condition, timing, within_a_time]
)
async def test_outside_a_workflow_every_primitive_is_refused(
    code: Callable[[], Awaitable[None]],
) -> None:
    with pytest.raises(NotInWorkflowError, match=r"engine\.start"):
        await code()


def test_a_signal_is_sent_by_its_place_to_the_id_of_another_workflow() -> None:
    async def main() -> None:
        await go.send("other", 7)
        await go.send("other", 8)

    driver = driven(main)
    sent = [event for event in driver.history if isinstance(event, e.SignalSent)]
    assert [(each.position, each.target_workflow_id, each.payload.data) for each in sent] == [
        ("signal:0", "other", b"7"),
        ("signal:1", "other", b"8"),
    ]
    assert [(each.kind, each.target) for each in driver.outgoing] == [("signal", "other")] * 2
    check_replays(driver)


@pytest.mark.parametrize(
    ("target", "value", "error"), [("", 1, "InvalidIdError"), ("other", "x", "PayloadError")]
)
def test_a_signal_that_cannot_be_sent_is_not(target: str, value: int, error: str) -> None:
    async def main() -> None:
        await go.send(target, value)

    driver = driven(main)
    assert (driver.failure.type, driver.outgoing) == (error, [])


@workflow(accepts=[go, add])
async def everything(amount: int) -> int:
    total = 0

    async def change(more: int) -> int:
        nonlocal total
        total += await charge(more)
        return total

    add.handle(change, validator=lambda more: None)
    set_attributes(stage="begun", id=str(uuid4()))
    timer = start_timer("reminder", 60)
    handle = await child.spawn(amount)
    async with saga() as s:
        s.compensate(charge, -amount)
        if patched("second way"):
            total += await side_effect(lambda: 1, int)
        with move_on_after(10) as scope:
            await gather(charge(amount), go.receive())
        if scope.cancelled_caught:
            timer.cancel()
            await go.send("other", total)
        await wait_until(lambda: total > 1)
        handle.cancel()
        return total + await handle.result()


def begun() -> Driver:
    driver = Driver(everything)
    driver.start(amount=3)
    return driver


def test_all_of_it_together_replays_from_every_prefix() -> None:
    driver = begun()
    driver.complete("charge", 3)
    driver.fire()
    driver.update("add", 5)
    driver.complete("charge", 5)
    driver.complete_child("child", 4)
    assert driver.result == 10
    check_replays(driver)


def test_all_of_it_together_replays_when_it_is_cancelled() -> None:
    driver = begun()
    driver.update("add", 5)
    driver.cancel_run()
    driver.cancel("charge")
    driver.cancel("charge")
    driver.complete("charge", -3)
    assert kinds(driver.history)[-1] == "WorkflowCancelled"
    check_replays(driver)


def test_a_run_that_is_reloaded_after_every_step_does_the_same() -> None:
    def lived(*, reloads: bool) -> list[e.HistoryEvent]:
        driver = begun()
        steps = (
            lambda: driver.signal("go", 1),
            driver.fire,
            lambda: driver.cancel("charge"),
            lambda: driver.update("add", 5),
            lambda: driver.complete("charge", 5),
            lambda: driver.complete_child("child", 4),
        )
        for step in steps:
            step()
            if reloads and driver.run.is_open:
                driver.reload()
        return driver.history

    assert lived(reloads=True) == lived(reloads=False)


def arrivals(driver: Driver) -> list[Callable[[], object]]:
    """What may happen next, in a fixed order."""
    projection = driver.run.projection
    found: list[Callable[[], object]] = [
        lambda: driver.step(driver.signalled("go", 1)),
        lambda: driver.step(driver.updated("add", 5)),
        lambda: driver.step(a.CancelRequest(reason="enough")),
    ]
    for row in projection.activities.values():
        outcomes = (
            a.AttemptCompleted(payload(2)),
            a.AttemptFailed(FAILURE, non_retryable=True),
            a.AttemptFailed(FAILURE),
            a.AttemptCancelled(),
        )
        found += [partial(driver.step, driver.outcome(row, each)) for each in outcomes]
    if projection.timers:
        found.append(driver.fire)
    if driver.open_children():
        found += [
            partial(driver.complete_child, "child", 4),
            partial(driver.fail_child, "child"),
            partial(driver.cancel_child, "child"),
        ]
    return found


@settings(max_examples=150, deadline=None)
@given(choices=st.lists(st.integers(0, 30), max_size=12), reloads=st.booleans())
def test_whatever_happens_it_replays_from_every_prefix(choices: list[int], reloads: bool) -> None:
    driver = begun()
    for choice in choices:
        if not driver.run.is_open:
            break
        possible = arrivals(driver)
        possible[choice % len(possible)]()
        if reloads and driver.run.is_open:
            driver.reload()
    check_replays(driver)
    close_all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: sleep_until("noon"),  # type: ignore[arg-type]
            "sleep_until takes an aware datetime, not 'noon'",
        ),
        (
            lambda: CancelScope(deadline=5),  # type: ignore[arg-type]
            "a deadline is an aware datetime, not 5; seconds are",
        ),
        (
            lambda: start_timer(5, 1),  # type: ignore[arg-type]
            "timer name 5 must be non-empty printable text",
        ),
        (
            lambda: patched(5),  # type: ignore[arg-type]
            "the id of a patch must be non-empty printable text, not 5",
        ),
        (
            lambda: set_attributes(5),  # type: ignore[arg-type]
            "set_attributes takes a mapping, not 5; write",
        ),
        (
            lambda: set_attributes({5: 1}),  # type: ignore[dict-item]
            "an attribute's name is non-empty printable text, not 5",
        ),
        (
            lambda: map_(charge, [1], limit="2"),  # type: ignore[arg-type]
            "limit is a whole number, not '2'; None is for",
        ),
    ],
)
def test_what_is_of_the_wrong_type_is_refused_in_one_sentence(
    wrong: Callable[[], Any], message: str
) -> None:
    async def main() -> None:
        with pytest.raises((TypeError, ValueError, InvalidIdError), match=message):
            if (awaitable := wrong()) is not None:
                await awaitable

    assert kinds(driven(main).history)[1:] == ["WorkflowCompleted"]
