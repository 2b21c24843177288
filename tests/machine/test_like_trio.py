"""What trio documents holds here, too: each scenario runs once on trio and once on our kernel."""

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from aion_core.authoring.timing import fail_after, move_on_after, sleep
from aion_core.errors import Cancelled, TooSlowError
from aion_core.machine.kernel import checkpoint
from aion_core.machine.nursery import open_nursery
from aion_core.machine.scopes import CancelScope
from tests.machine.driver import driven

Log = Callable[[object], None]


@attrs.frozen
class World:
    """The names that both sides have."""

    name: str
    open_nursery: Any
    cancel_scope: Any
    move_on_after: Any
    fail_after: Any
    sleep: Any
    checkpoint: Any
    cancelled: type[BaseException]
    too_slow: type[BaseException]


TRIO = World(
    "trio",
    trio.open_nursery,
    trio.CancelScope,
    trio.move_on_after,
    trio.fail_after,
    trio.sleep,
    trio.lowlevel.checkpoint,
    trio.Cancelled,
    trio.TooSlowError,
)
AION = World(
    "aion",
    open_nursery,
    CancelScope,
    move_on_after,
    fail_after,
    sleep,
    checkpoint,
    Cancelled,
    TooSlowError,
)
both = pytest.mark.parametrize("world", [TRIO, AION], ids=lambda world: world.name)


def outcome(world: World, scenario: Callable[[World, Log], Awaitable[None]]) -> list[object]:
    """What a scenario logged, run to its end, timers included."""
    log: list[object] = []

    async def main() -> None:
        await scenario(world, log.append)

    if world is TRIO:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    else:
        driver = driven(main)
        driver.fire_all()
        assert driver.result is None
    return log


@both
def test_a_cancelled_scope_stops_its_code_at_the_next_checkpoint(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        with w.cancel_scope() as scope:
            scope.cancel()
            log("still running")
            await w.checkpoint()
            log("never")
        log((scope.cancel_called, scope.cancelled_caught))

    assert outcome(world, scenario) == ["still running", (True, True)]


@both
def test_a_cancelled_scope_that_meets_no_checkpoint_catches_nothing(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        with w.cancel_scope() as scope:
            scope.cancel()
        log(scope.cancelled_caught)

    assert outcome(world, scenario) == [False]


@both
def test_cancellation_is_a_level_and_not_an_edge(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        with w.cancel_scope() as scope:
            scope.cancel()
            for attempt in range(3):
                try:
                    await w.sleep(1)
                except w.cancelled:
                    log(attempt)
            await w.checkpoint()
        log(scope.cancelled_caught)

    assert outcome(world, scenario) == [0, 1, 2, True]


@both
def test_an_inner_scope_leaves_the_outer_alone(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        with w.cancel_scope() as outer:
            with w.cancel_scope() as inner:
                inner.cancel()
                await w.checkpoint()
            await w.checkpoint()
            log("goes on")
        log((inner.cancelled_caught, outer.cancelled_caught))

    assert outcome(world, scenario) == ["goes on", (True, False)]


@both
def test_the_outermost_cancelled_scope_catches(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        with w.cancel_scope() as outer:
            with w.cancel_scope() as inner:
                inner.cancel()
                outer.cancel()
                await w.checkpoint()
            log("never")
        log((inner.cancelled_caught, outer.cancelled_caught))

    assert outcome(world, scenario) == [(False, True)]


@both
def test_a_shield_keeps_outer_cancellation_out(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        with w.cancel_scope() as outer:
            outer.cancel()
            with w.cancel_scope(shield=True):
                await w.sleep(1)
                log("shielded")
            await w.checkpoint()
            log("never")
        log(outer.cancelled_caught)

    assert outcome(world, scenario) == ["shielded", True]


@both
def test_a_shield_does_not_keep_its_own_cancellation_out(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        with w.cancel_scope(shield=True) as scope:
            scope.cancel()
            await w.checkpoint()
            log("never")
        log(scope.cancelled_caught)

    assert outcome(world, scenario) == [True]


@both
def test_a_shield_taken_away_lets_waiting_code_be_cancelled(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        async def waits(shield: Any) -> None:
            with shield:
                try:
                    await w.sleep(100)
                except w.cancelled:
                    log("cancelled")
                    raise

        with w.cancel_scope() as outer:
            async with w.open_nursery() as nursery:
                shield = w.cancel_scope(shield=True)
                nursery.start_soon(waits, shield)
                await w.sleep(1)
                outer.cancel()
                log("shielded")
                shield.shield = False
        log(outer.cancelled_caught)

    assert outcome(world, scenario) == ["shielded", "cancelled", True]


@both
def test_a_scope_cancelled_before_it_is_entered_is_cancelled_inside(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        scope = w.cancel_scope()
        scope.cancel()
        with scope:
            log("entered")
            await w.checkpoint()
            log("never")
        log(scope.cancelled_caught)

    assert outcome(world, scenario) == ["entered", True]


@both
def test_a_deadline_cancels(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        with w.move_on_after(5) as scope:
            await w.sleep(4)
            log("in time")
            await w.sleep(4)
            log("never")
        log(scope.cancelled_caught)

    assert outcome(world, scenario) == ["in time", True]


@both
def test_a_deadline_of_no_time_stops_the_first_checkpoint(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        with w.move_on_after(0) as scope:
            log("runs to its first checkpoint")
            await w.checkpoint()
            log("never")
        log(scope.cancelled_caught)

    assert outcome(world, scenario) == ["runs to its first checkpoint", True]


@both
def test_fail_after_raises_when_its_time_is_over(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        try:
            with w.fail_after(1):
                await w.sleep(2)
        except w.too_slow:
            log("too slow")

    assert outcome(world, scenario) == ["too slow"]


@both
def test_the_nearer_of_two_deadlines_counts(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        with w.move_on_after(1) as outer, w.move_on_after(2) as inner:
            await w.sleep(3)
        log((outer.cancelled_caught, inner.cancelled_caught))

    assert outcome(world, scenario) == [(True, False)]


@both
def test_a_nursery_waits_for_its_tasks(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        async def child(name: str, seconds: float) -> None:
            await w.sleep(seconds)
            log(name)

        async with w.open_nursery() as nursery:
            nursery.start_soon(child, "slow", 2)
            nursery.start_soon(child, "fast", 1)
            log("body")
        log("after")

    assert outcome(world, scenario) == ["body", "fast", "slow", "after"]


@both
def test_the_first_failure_cancels_the_siblings_and_leaves_as_a_group(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        async def fails() -> None:
            await w.sleep(1)
            raise ValueError("first")

        async def sibling() -> None:
            try:
                await w.sleep(100)
            except w.cancelled:
                log("sibling cancelled")
                raise

        try:
            async with w.open_nursery() as nursery:
                nursery.start_soon(sibling)
                nursery.start_soon(fails)
        except ExceptionGroup as group:
            log([repr(error) for error in group.exceptions])

    assert outcome(world, scenario) == ["sibling cancelled", ["ValueError('first')"]]


@both
def test_a_failing_body_cancels_the_tasks_of_its_nursery(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        async def child() -> None:
            try:
                await w.sleep(100)
            finally:
                log("child ends")

        try:
            async with w.open_nursery() as nursery:
                nursery.start_soon(child)
                await w.sleep(1)
                raise KeyError("body")
        except ExceptionGroup as group:
            log([repr(error) for error in group.exceptions])

    assert outcome(world, scenario) == ["child ends", ["KeyError('body')"]]


@both
def test_what_a_cancelled_sibling_raises_instead_is_in_the_group(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        async def fails() -> None:
            await w.sleep(1)
            raise ValueError

        async def sibling() -> None:
            try:
                await w.sleep(100)
            finally:
                raise OSError

        try:
            async with w.open_nursery() as nursery:
                nursery.start_soon(sibling)
                nursery.start_soon(fails)
        except ExceptionGroup as group:
            log([type(error).__name__ for error in group.exceptions])

    assert outcome(world, scenario) == [["ValueError", "OSError"]]


@both
def test_a_group_is_split_at_a_cancelled_scope(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        async def waits() -> None:
            await w.sleep(100)

        async def fails_when_cancelled() -> None:
            try:
                await w.sleep(100)
            except w.cancelled:
                raise ValueError("clean-up") from None

        scope = w.cancel_scope()
        try:
            with scope:
                async with w.open_nursery() as nursery:
                    nursery.start_soon(waits)
                    nursery.start_soon(fails_when_cancelled)
                    await w.sleep(1)
                    scope.cancel()
        except ExceptionGroup as group:
            log([repr(error) for error in group.exceptions])
        log(scope.cancelled_caught)

    assert outcome(world, scenario) == [["ValueError('clean-up')"], True]


@both
def test_cancelling_the_scope_of_a_nursery_ends_it_without_an_error(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        async with w.open_nursery() as nursery:
            nursery.start_soon(w.sleep, 100)
            nursery.cancel_scope.cancel()
        log(nursery.cancel_scope.cancelled_caught)

    assert outcome(world, scenario) == [True]


@both
def test_a_task_started_in_a_cancelled_nursery_runs_to_its_first_checkpoint(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        async def child() -> None:
            log("started")
            await w.checkpoint()
            log("never")

        async with w.open_nursery() as nursery:
            nursery.cancel_scope.cancel()
            nursery.start_soon(child)

    assert outcome(world, scenario) == ["started"]


@both
def test_a_nursery_whose_tasks_end_by_themselves_is_no_source_of_cancellation(
    world: World,
) -> None:
    async def scenario(w: World, log: Log) -> None:
        async def shielded() -> None:
            with w.cancel_scope(shield=True):
                await w.sleep(2)
            log("ended by itself")

        with w.move_on_after(1) as scope:
            async with w.open_nursery() as nursery:
                nursery.start_soon(shielded)
        log((scope.cancel_called, scope.cancelled_caught))

    assert outcome(world, scenario) == ["ended by itself", (True, False)]


@both
def test_cleanup_behind_a_shield_runs_to_its_end(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        with w.move_on_after(1):
            try:
                await w.sleep(100)
            finally:
                with w.cancel_scope(shield=True):
                    await w.sleep(1)
                    log("cleaned up")

    assert outcome(world, scenario) == ["cleaned up"]


@both
def test_a_task_may_start_others_in_its_own_nursery(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        async with w.open_nursery() as nursery:

            async def countdown(number: int) -> None:
                log(number)
                if number:
                    nursery.start_soon(countdown, number - 1)

            nursery.start_soon(countdown, 2)
        log("after")

    assert outcome(world, scenario) == [2, 1, 0, "after"]


@both
def test_nothing_is_started_in_a_nursery_that_is_closed(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        async with w.open_nursery() as nursery:
            pass
        try:
            nursery.start_soon(w.sleep, 1)
        except RuntimeError:
            log("refused")

    assert outcome(world, scenario) == ["refused"]


@both
def test_a_scope_is_entered_once(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        scope = w.cancel_scope()
        with scope:
            pass
        try:
            with scope:
                log("never")
        except RuntimeError:
            log("refused")

    assert outcome(world, scenario) == ["refused"]


@both
def test_scopes_left_out_of_order_are_an_error(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        outer, inner = w.cancel_scope(), w.cancel_scope()
        outer.__enter__()
        inner.__enter__()
        try:
            outer.__exit__(None, None, None)
        except RuntimeError:
            log("refused")
        inner.__exit__(None, None, None)

    assert outcome(world, scenario) == ["refused"]


@both
def test_an_error_passes_a_cancelled_scope(world: World) -> None:
    async def scenario(w: World, log: Log) -> None:
        scope = w.cancel_scope()
        try:
            with scope:
                scope.cancel()
                raise ValueError("mine")
        except ValueError as error:
            log((str(error), scope.cancelled_caught))

    assert outcome(world, scenario) == [("mine", False)]
