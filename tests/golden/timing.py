"""Tales of time: sleeps, deadlines, and timers with a name."""

from __future__ import annotations

from datetime import timedelta

import aion_runtime as aion
from aion_runtime.testing.script import ask, cancel, fire, outcome, signal, terminate, update
from tests.golden.acts import ship
from tests.golden.tales import Tale, Value

go = aion.Signal("go", int)
add = aion.Update("add", int, int)
size = aion.Query("size", int)


@aion.workflow
async def sleeper() -> list[str]:
    seen = [aion.now().isoformat()]
    await aion.sleep(10)
    seen.append(aion.now().isoformat())
    await aion.sleep(0)
    await aion.sleep_until(aion.now() + timedelta(hours=1))
    seen.append(aion.now().isoformat())
    await aion.sleep(timedelta(days=2))
    return [*seen, aion.now().isoformat()]


@aion.workflow
async def too_slow() -> list[Value]:
    done: list[Value] = []
    for _ in range(2):
        try:
            with aion.fail_after(30):
                done.append(await go.receive())
        except aion.TooSlowError:
            done.append("too slow")
    return done


@aion.workflow
async def shielded() -> list[str]:
    done: list[str] = []
    with aion.move_on_after(10) as outer:
        with aion.CancelScope(shield=True):
            await aion.sleep(20)
            done.append("slept")
        await aion.sleep(20)
        done.append("?")
    done.append(f"caught {outer.cancelled_caught}")
    return done


@aion.workflow
async def nested() -> list[bool]:
    with aion.move_on_after(30) as outer:
        with aion.move_on_after(10) as inner:
            await go.receive()
        with aion.move_on_after(50) as late:
            await go.receive()
    return [inner.cancelled_caught, late.cancelled_caught, outer.cancelled_caught]


@aion.workflow
async def moved_deadline() -> list[Value]:
    done: list[Value] = []
    with aion.move_on_after(50) as scope:
        while True:
            done.append(await go.receive())
            scope.deadline = aion.now() + timedelta(seconds=100)
    done.append(aion.now().isoformat())
    return done


@aion.workflow
async def reminder() -> list[Value]:
    """A timer with a name: started, started anew, cancelled, and fired."""
    done: list[Value] = []
    timer = aion.start_timer("reminder", 100)

    async def watcher() -> None:
        while True:
            done.append(await timer.wait())
            if timer.has_fired:
                return
            aion.start_timer("reminder", 30)

    async with aion.open_nursery() as nursery:
        nursery.start_soon(watcher)
        aion.start_timer("other", 40)
        await go.receive()
        aion.start_timer("reminder", 200)
        await go.receive()
        done.append(timer.cancel())
    done.append(timer.is_running)
    return done


@aion.workflow
async def same_instant() -> list[str]:
    done: list[str] = []

    async def after(seconds: float, word: str) -> None:
        await aion.sleep(seconds)
        done.append(word)

    async with aion.open_nursery() as nursery:
        nursery.start_soon(after, 10, "first")
        nursery.start_soon(after, 10, "second")
        nursery.start_soon(after, 5, "before")
    return done


@aion.workflow
async def polling() -> list[str]:
    """Time goes on in a loop of timed waits."""
    log: list[str] = []
    while len(log) < 4:
        with aion.move_on_after(7):
            log.append(f"{await go.receive()}")
            continue
        log.append(f"{await ship('probe')} at {aion.now():%H:%M:%S}")
    return log


@aion.workflow
async def begun_later() -> list[Value]:
    """What comes before the code runs is there when it does."""
    done: list[Value] = [aion.now().isoformat()]

    async def handler(by: int) -> int:
        done.append(by)
        return len(done)

    add.handle(handler)
    size.answer(lambda: len(done))
    done.append(await go.receive())
    done.append(await ship("late"))
    with aion.move_on_after(10):
        done.append(await go.receive())
    return done


TALES = [
    Tale(
        sleeper,
        [fire(), fire(), fire()],
        [f"2030-01-{at}+00:00" for at in ("01T00:00:00", "01T00:00:10", "01T01:00:10")]
        + ["2030-01-03T01:00:10+00:00"],
        extras=[cancel(), [fire(), cancel()]],
    ),
    Tale(
        too_slow,
        [fire(), signal(go, 2)],
        ["too slow", 2],
        extras=[[signal(go, 3), fire()], [fire(), signal(go, 4)], cancel()],
    ),
    Tale(shielded, [fire(), fire()], ["slept", "caught True"], extras=[cancel()]),
    Tale(nested, [fire(), fire()], [True, False, True], extras=[signal(go, 1), cancel()]),
    Tale(
        moved_deadline,
        [signal(go, 1), signal(go, 2), fire()],
        [1, 2, "2030-01-01T00:01:40+00:00"],
        extras=[[signal(go, 3), fire()], cancel()],
    ),
    Tale(
        reminder,
        [signal(go, 1), fire("other"), signal(go, 2), fire("reminder")],
        [True, False, True, False],
        extras=[fire(), [signal(go, 3), fire()], cancel()],
    ),
    Tale(same_instant, [fire(), fire()], ["before", "first", "second"], extras=[cancel()]),
    Tale(
        begun_later,
        [signal(go, 1), fire(), update(add, 7), ask(size), outcome(ship, "sent"), fire()],
        ["2030-01-01T00:01:00+00:00", 1, 7, "sent"],
        extras=[signal(go, 2), cancel(), terminate(), [signal(go, 3), fire()]],
        delay=60,
    ),
    Tale(
        polling,
        [fire(), outcome(ship, "up"), signal(go, 1), fire(), outcome(ship, "down"), signal(go, 2)],
        ["up at 00:00:07", "1", "down at 00:00:14", "2"],
        extras=[[signal(go, 3), signal(go, 4)], cancel()],
    ),
]
