"""Time: sleeps, deadlines, and deadlines that are moved."""

from tests.machine.dual.worlds import Log, World, gives, gives_one_of


@gives(("short", 1.0), ("middle", 2.0), ("long", 3.0))
async def sleeps_end_in_the_order_of_their_instants(w: World, log: Log) -> None:
    async def sleeper(name: str, seconds: float) -> None:
        await w.sleep(seconds)
        log((name, w.now()))

    async with w.open_nursery() as nursery:
        nursery.start_soon(sleeper, "long", 3)
        nursery.start_soon(sleeper, "short", 1)
        nursery.start_soon(sleeper, "middle", 2)


@gives("before", "after", 0.0)
async def a_sleep_of_no_time_takes_none(w: World, log: Log) -> None:
    log("before")
    await w.sleep(0)
    log("after")
    log(w.now())


@gives("stopped")
async def a_sleep_of_no_time_is_a_checkpoint(w: World, log: Log) -> None:
    with w.CancelScope() as scope:
        scope.cancel()
        await w.sleep(0)
        log("never")
    log("stopped")


@gives_one_of(["child", "parent"], ["parent", "child"])
async def a_sleep_of_no_time_lets_others_run(w: World, log: Log) -> None:
    async def child() -> None:
        log("child")

    async with w.open_nursery() as nursery:
        nursery.start_soon(child)
        await w.sleep(0)
        log("parent")


@gives("ValueError")
async def a_negative_sleep_is_refused(w: World, log: Log) -> None:
    try:
        await w.sleep(-1)
    except ValueError as error:
        log(type(error).__name__)


@gives("ValueError", "ValueError")
async def a_deadline_is_a_number_of_seconds_ahead(w: World, log: Log) -> None:
    for seconds in (-1, float("nan")):
        try:
            with w.move_on_after(seconds):
                log("never")
        except ValueError as error:
            log(type(error).__name__)


@gives(1.0, (True, True))
async def a_deadline_stops_a_sleep(w: World, log: Log) -> None:
    with w.move_on_after(1) as scope:
        await w.sleep(2)
        log("never")
    log(w.now())
    log((scope.cancel_called, scope.cancelled_caught))


@gives("in time", (False, False))
async def a_deadline_that_is_kept_leaves_no_mark(w: World, log: Log) -> None:
    with w.move_on_after(2) as scope:
        await w.sleep(1)
        log("in time")
    await w.sleep(5)
    log((scope.cancel_called, scope.cancelled_caught))


@gives("runs to a checkpoint", True, 0.0)
async def a_deadline_of_no_time_stops_the_first_checkpoint(w: World, log: Log) -> None:
    with w.move_on_after(0) as scope:
        log("runs to a checkpoint")
        await w.checkpoint()
        log("never")
    log(scope.cancelled_caught)
    log(w.now())


@gives("runs to a checkpoint", True)
async def a_deadline_in_the_past_stops_the_first_checkpoint(w: World, log: Log) -> None:
    await w.sleep(5)
    with w.scope_until(1) as scope:
        log("runs to a checkpoint")
        await w.checkpoint()
        log("never")
    log(scope.cancelled_caught)


@gives("TooSlowError", 1.0)
async def fail_after_raises_once_its_time_is_over(w: World, log: Log) -> None:
    try:
        with w.fail_after(1):
            await w.sleep(2)
    except w.TooSlowError as error:
        log(type(error).__name__)
    log(w.now())


@gives("done", False)
async def fail_after_is_quiet_in_time(w: World, log: Log) -> None:
    with w.fail_after(2) as scope:
        await w.sleep(1)
        log("done")
    log(scope.cancelled_caught)


@gives("shielded work is done", 2.0)
async def fail_after_is_quiet_when_a_shield_let_all_be_done(w: World, log: Log) -> None:
    with w.fail_after(1), w.CancelScope(shield=True):
        await w.sleep(2)
        log("shielded work is done")
    log(w.now())


@gives("TooSlowError", 2.0)
async def fail_after_raises_at_the_first_checkpoint_behind_a_shield(w: World, log: Log) -> None:
    try:
        with w.fail_after(1):
            with w.CancelScope(shield=True):
                await w.sleep(2)
            await w.checkpoint()
    except w.TooSlowError as error:
        log(type(error).__name__)
    log(w.now())


@gives("ValueError")
async def an_error_in_fail_after_is_not_hidden_by_its_time(w: World, log: Log) -> None:
    try:
        with w.fail_after(1):
            try:
                await w.sleep(2)
            finally:
                raise ValueError
    except ValueError as error:
        log(type(error).__name__)


@gives((True, False), 1.0)
async def the_outer_of_two_deadlines_is_nearer(w: World, log: Log) -> None:
    with w.move_on_after(1) as outer, w.move_on_after(2) as inner:
        await w.sleep(3)
    log((outer.cancelled_caught, inner.cancelled_caught))
    log(w.now())


@gives((False, True), 1.0)
async def the_inner_of_two_deadlines_is_nearer(w: World, log: Log) -> None:
    with w.move_on_after(2) as outer, w.move_on_after(1) as inner:
        await w.sleep(3)
    log((outer.cancelled_caught, inner.cancelled_caught))
    log(w.now())


@gives(True, 1.0)
async def a_deadline_is_moved_nearer(w: World, log: Log) -> None:
    with w.move_on_after(10) as scope:
        w.move_deadline(scope, 1)
        await w.sleep(20)
    log(scope.cancelled_caught)
    log(w.now())


@gives(True, 5.0)
async def a_deadline_is_moved_away(w: World, log: Log) -> None:
    with w.move_on_after(2) as scope:
        await w.sleep(1)
        w.move_deadline(scope, 4)
        await w.sleep(20)
    log(scope.cancelled_caught)
    log(w.now())


@gives("runs to a checkpoint", True, 1.0)
async def a_deadline_is_moved_to_now(w: World, log: Log) -> None:
    with w.move_on_after(10) as scope:
        await w.sleep(1)
        w.move_deadline(scope, 0)
        log("runs to a checkpoint")
        await w.sleep(20)
        log("never")
    log(scope.cancelled_caught)
    log(w.now())


@gives("runs to a checkpoint", True)
async def a_deadline_is_moved_into_the_past(w: World, log: Log) -> None:
    with w.move_on_after(10) as scope:
        await w.sleep(2)
        w.move_deadline(scope, -1)
        log("runs to a checkpoint")
        await w.checkpoint()
        log("never")
    log(scope.cancelled_caught)


@gives(False, 20.0)
async def a_deadline_is_taken_away(w: World, log: Log) -> None:
    with w.move_on_after(2) as scope:
        w.move_deadline(scope, None)
        await w.sleep(20)
    log(scope.cancelled_caught)
    log(w.now())


@gives(True, 3.0)
async def a_scope_gets_a_deadline_late(w: World, log: Log) -> None:
    with w.CancelScope() as scope:
        await w.sleep(1)
        w.move_deadline(scope, 2)
        await w.sleep(20)
    log(scope.cancelled_caught)
    log(w.now())


@gives(True, 3.0)
async def another_task_moves_the_deadline_of_a_scope(w: World, log: Log) -> None:
    async def mover(scope: object) -> None:
        await w.sleep(1)
        w.move_deadline(scope, 2)

    async with w.open_nursery() as nursery:
        with w.move_on_after(50) as scope:
            nursery.start_soon(mover, scope)
            await w.sleep(100)
        log(scope.cancelled_caught)
        log(w.now())


@gives("cleaning", True, 4.0)
async def a_deadline_does_not_interrupt_twice(w: World, log: Log) -> None:
    with w.move_on_after(1) as scope:
        try:
            await w.sleep(100)
        except w.Cancelled:
            log("cleaning")
            with w.CancelScope(shield=True):
                await w.sleep(3)
            raise
    log(scope.cancelled_caught)
    log(w.now())


@gives("inner", "outer", 3.0)
async def a_shielded_deadline_within_a_cancelled_scope(w: World, log: Log) -> None:
    with w.move_on_after(1):
        try:
            await w.sleep(100)
        finally:
            with w.move_on_after(2, shield=True):
                await w.sleep(100)
            log("inner")
    log("outer")
    log(w.now())
