"""Cancel scopes: nesting, shields, levels, and who catches what."""

from typing import Any

from tests.machine.dual.worlds import Log, World, gives, gives_one_of


@gives("inner left", (True, True), (False, False))
async def an_inner_scope_catches_its_own(w: World, log: Log) -> None:
    with w.CancelScope() as outer:
        with w.CancelScope() as inner:
            inner.cancel()
            await w.sleep(1)
            log("never")
        log("inner left")
        await w.checkpoint()
    log((inner.cancel_called, inner.cancelled_caught))
    log((outer.cancel_called, outer.cancelled_caught))


@gives((False, False), (True, True))
async def an_outer_scope_cuts_through_inner_ones(w: World, log: Log) -> None:
    with w.CancelScope() as outer:
        with w.CancelScope() as inner:
            outer.cancel()
            await w.sleep(1)
        log("never")
    log((inner.cancel_called, inner.cancelled_caught))
    log((outer.cancel_called, outer.cancelled_caught))


@gives((True, False, True))
async def of_two_cancelled_scopes_the_outer_catches(w: World, log: Log) -> None:
    with w.CancelScope() as outer:
        with w.CancelScope() as inner:
            inner.cancel()
            outer.cancel()
            await w.checkpoint()
        log("never")
    log((inner.cancel_called, inner.cancelled_caught, outer.cancelled_caught))


@gives("shielded to its end", "then stopped")
async def a_shield_holds_until_its_end(w: World, log: Log) -> None:
    with w.CancelScope() as outer:
        outer.cancel()
        with w.CancelScope(shield=True):
            await w.sleep(5)
            log("shielded to its end")
        try:
            await w.checkpoint()
        except w.Cancelled:
            log("then stopped")
            raise


@gives((True, True))
async def a_shield_does_not_stop_its_own_cancellation(w: World, log: Log) -> None:
    with w.CancelScope(shield=True) as scope:
        scope.cancel()
        await w.sleep(1)
        log("never")
    log((scope.cancel_called, scope.cancelled_caught))


@gives("inside", "behind the shield", False, True)
async def a_cancelled_scope_within_a_shield_within_a_cancelled_scope(w: World, log: Log) -> None:
    with w.CancelScope() as outer:
        outer.cancel()
        with w.CancelScope(shield=True) as shield:
            with w.CancelScope() as inner:
                inner.cancel()
                log("inside")
                await w.checkpoint()
                log("never")
            await w.checkpoint()
            log("behind the shield")
        log(shield.cancelled_caught)
        await w.checkpoint()
        log("never")
    log(outer.cancelled_caught)


@gives("entered", True)
async def a_scope_cancelled_before_it_is_entered(w: World, log: Log) -> None:
    scope = w.CancelScope()
    scope.cancel()
    with scope:
        log("entered")
        await w.checkpoint()
        log("never")
    log(scope.cancelled_caught)


@gives("no checkpoint came", (True, False))
async def a_cancelled_scope_without_a_checkpoint(w: World, log: Log) -> None:
    with w.CancelScope() as scope:
        scope.cancel()
        log("no checkpoint came")
    log((scope.cancel_called, scope.cancelled_caught))


@gives(0, 1, 2, True)
async def cancellation_is_raised_again_at_each_checkpoint(w: World, log: Log) -> None:
    with w.CancelScope() as scope:
        scope.cancel()
        for attempt in range(3):
            try:
                await w.checkpoint()
            except w.Cancelled:
                log(attempt)
        await w.sleep(1)
    log(scope.cancelled_caught)


@gives("swallowed", (True, False))
async def swallowed_cancellation_is_not_caught_by_the_scope(w: World, log: Log) -> None:
    with w.CancelScope() as scope:
        scope.cancel()
        try:
            await w.checkpoint()
        except w.Cancelled:
            log("swallowed")
    log((scope.cancel_called, scope.cancelled_caught))


@gives("still shielded", "stopped", (False, True), 1.0)
async def a_shield_is_taken_away_while_a_task_waits_behind_it(w: World, log: Log) -> None:
    async def takes_away(shield: Any) -> None:
        await w.sleep(1)
        log("still shielded")
        shield.shield = False

    async with w.open_nursery() as nursery:
        with w.CancelScope() as outer:
            outer.cancel()
            with w.CancelScope(shield=True) as shield:
                nursery.start_soon(takes_away, shield)
                try:
                    await w.sleep(100)
                finally:
                    log("stopped")
        log((shield.cancelled_caught, outer.cancelled_caught))
        log(w.now())


@gives("runs on", "stopped")
async def a_shield_put_up_late_protects_from_then_on(w: World, log: Log) -> None:
    with w.CancelScope() as outer:
        outer.cancel()
        with w.CancelScope() as inner:
            inner.shield = True
            await w.sleep(1)
            log("runs on")
            inner.shield = False
            try:
                await w.checkpoint()
            except w.Cancelled:
                log("stopped")
                raise


@gives("ValueError", (True, False))
async def another_error_passes_a_cancelled_scope(w: World, log: Log) -> None:
    scope = w.CancelScope()
    try:
        with scope:
            scope.cancel()
            raise ValueError
    except ValueError as error:
        log(type(error).__name__)
    log((scope.cancel_called, scope.cancelled_caught))


@gives("ValueError", False)
async def clean_up_that_fails_replaces_the_cancellation(w: World, log: Log) -> None:
    scope = w.CancelScope()
    try:
        with scope:
            scope.cancel()
            try:
                await w.checkpoint()
            finally:
                raise ValueError
    except ValueError as error:
        log(type(error).__name__)
    log(scope.cancelled_caught)


@gives((["ValueError"], True))
async def a_group_loses_its_cancellations_at_the_scope(w: World, log: Log) -> None:
    async def waits() -> None:
        await w.sleep(100)

    async def fails_when_stopped() -> None:
        try:
            await w.sleep(100)
        except w.Cancelled:
            raise ValueError from None

    scope = w.CancelScope()
    try:
        with scope:
            async with w.open_nursery() as nursery:
                nursery.start_soon(waits)
                nursery.start_soon(fails_when_stopped)
                await w.sleep(1)
                scope.cancel()
    except ExceptionGroup as group:
        log(([type(each).__name__ for each in group.exceptions], scope.cancelled_caught))


@gives("first", "second", 0.0)
async def cancelling_twice_is_as_once(w: World, log: Log) -> None:
    with w.CancelScope() as scope:
        scope.cancel()
        scope.cancel()
        try:
            await w.sleep(1)
        except w.Cancelled:
            log("first")
            scope.cancel()
            try:
                await w.sleep(1)
            except w.Cancelled:
                log("second")
                raise
    log(w.now())


@gives(("returned", "the value"))
async def a_value_is_returned_through_a_cancelled_scope(w: World, log: Log) -> object:
    with w.CancelScope() as scope:
        scope.cancel()
        return "the value"


@gives("refused")
async def a_scope_is_entered_only_once(w: World, log: Log) -> None:
    scope = w.CancelScope()
    with scope:
        pass
    try:
        with scope:
            log("never")
    except RuntimeError:
        log("refused")


@gives("parent stopped", True)
async def a_child_cancels_the_scope_around_its_nursery(w: World, log: Log) -> None:
    with w.CancelScope() as outer:

        async def child() -> None:
            await w.sleep(1)
            outer.cancel()

        async with w.open_nursery() as nursery:
            nursery.start_soon(child)
            try:
                await w.sleep(100)
            finally:
                log("parent stopped")
    log(outer.cancelled_caught)


@gives("sibling stopped", "block goes on")
async def a_sibling_cancels_a_scope_in_another_task(w: World, log: Log) -> None:
    scope = w.CancelScope()

    async def stopped() -> None:
        with scope:
            await w.sleep(100)
            log("never")
        log("sibling stopped")

    async def stops() -> None:
        await w.sleep(1)
        scope.cancel()

    async with w.open_nursery() as nursery:
        nursery.start_soon(stopped)
        nursery.start_soon(stops)
    log("block goes on")


@gives("cleaned up", 3.0, True)
async def clean_up_behind_a_shield_takes_its_time(w: World, log: Log) -> None:
    with w.move_on_after(1) as scope:
        try:
            await w.sleep(100)
        finally:
            with w.CancelScope(shield=True):
                await w.sleep(2)
                log("cleaned up")
    log(w.now())
    log(scope.cancelled_caught)


@gives_one_of(
    [("a", 1.0), ("b", 1.0), ("c", 1.0), "after"],
    [("a", 1.0), ("c", 1.0), ("b", 1.0), "after"],
    [("b", 1.0), ("a", 1.0), ("c", 1.0), "after"],
    [("b", 1.0), ("c", 1.0), ("a", 1.0), "after"],
    [("c", 1.0), ("a", 1.0), ("b", 1.0), "after"],
    [("c", 1.0), ("b", 1.0), ("a", 1.0), "after"],
)
async def one_cancellation_stops_every_task_below(w: World, log: Log) -> None:
    async def leaf(name: str) -> None:
        try:
            await w.sleep(100)
        finally:
            log((name, w.now()))

    async def branch() -> None:
        async with w.open_nursery() as nursery:
            nursery.start_soon(leaf, "b")
            nursery.start_soon(leaf, "c")

    with w.move_on_after(1):
        async with w.open_nursery() as nursery:
            nursery.start_soon(leaf, "a")
            nursery.start_soon(branch)
    log("after")


@gives("outside lives", 2.0)
async def cancelling_a_nursery_leaves_tasks_beside_it_alone(w: World, log: Log) -> None:
    async def outside() -> None:
        await w.sleep(2)
        log("outside lives")

    async with w.open_nursery() as outer:
        outer.start_soon(outside)
        async with w.open_nursery() as inner:
            inner.start_soon(w.sleep, 100)
            inner.cancel_scope.cancel()
    log(w.now())


@gives("refused")
async def an_outer_scope_is_not_left_before_an_inner_one(w: World, log: Log) -> None:
    outer, inner = w.CancelScope(), w.CancelScope()
    outer.__enter__()
    inner.__enter__()
    try:
        outer.__exit__(None, None, None)
    except RuntimeError:
        log("refused")
    inner.__exit__(None, None, None)


@gives("refused")
async def a_scope_is_left_only_once(w: World, log: Log) -> None:
    with w.CancelScope() as scope:
        pass
    try:
        scope.__exit__(None, None, None)
    except RuntimeError:
        log("refused")
