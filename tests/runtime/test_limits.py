"""Limits of activities: how many attempts at a time, and how many in a window of time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import EventStore
from aion_core.errors import StoreUnavailableError
from aion_runtime.executor import LocalExecutor
from aion_runtime.testing import VirtualClock, test_engine
from aion_store_memory.store import MemoryStore
from tests.runtime.conftest import Bench, Fault

TWO = aion.Limit("api", concurrency=2)
ONE_A_MINUTE = aion.Limit("api", rate=(1, 60))


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> EventStore | Path:
    return MemoryStore() if request.param == "memory" else tmp_path / "s.db"


class Work:
    """An activity that takes a while, and what became of its attempts.

    Attributes:
        most: how many were under way at a time.
    """

    def __init__(self, takes: float = 10.0, **options: Any) -> None:
        self.clock = VirtualClock()
        self.most = 0
        self._begun: list[tuple[float, str]] = []
        self._under_way = 0

        @aion.activity(name="work", **options)
        async def work(name: str) -> str:
            self.note(name)
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            try:
                await self.clock.sleep(takes)
            finally:
                self._under_way -= 1
            return name

        @aion.workflow
        async def all_at_once(names: str) -> str:
            return "".join(await aion.gather(*map(work, names)))

        self.work = work
        self.all_at_once = all_at_once

    def note(self, name: str) -> None:
        """One has begun."""
        self._begun.append((self.clock.monotonic(), name))

    @property
    def begun(self) -> list[tuple[str, float]]:
        """Which ones have begun, and how many seconds after the clock's start.

        Tasks that begin at one instant do so in any order.
        """
        return [(name, at) for at, name in sorted(self._begun)]

    @property
    def names(self) -> str:
        return "".join(name for name, _ in self.begun)

    @property
    def times(self) -> list[float]:
        return [at for _, at in self.begun]

    async def result_of(self, names: str, **options: Any) -> str:
        async with self.engine(**options) as engine:
            return await (await engine.start(self.all_at_once, names)).result()

    def engine(self, *others: Any, store: Any = "memory:", **options: Any) -> Any:
        workflows = [self.all_at_once, *others]
        return test_engine(store, workflows=workflows, clock=self.clock, **options)


def seconds_between(instants: list[datetime]) -> list[float]:
    return [(each - instants[0]).total_seconds() for each in instants]


async def starts_in(handle: aion.WorkflowHandle[Any]) -> list[e.ActivityStarted]:
    return [each for each in await handle.history() if isinstance(each, e.ActivityStarted)]


async def test_as_many_attempts_as_are_allowed_are_under_way() -> None:
    work = Work(limit=TWO)
    assert await work.result_of("abcde") == "abcde"
    assert work.most == 2
    assert work.begun == [("a", 0), ("b", 0), ("c", 10), ("d", 10), ("e", 20)]


async def test_so_many_attempts_begin_in_a_window() -> None:
    work = Work(limit=aion.Limit("api", rate=(3, 60)))
    assert await work.result_of("abcdefg") == "abcdefg"
    assert work.begun == list(zip("abcdefg", [0, 0, 0, 60, 60, 60, 120], strict=True))


async def test_what_is_recorded_of_the_beginnings_keeps_to_the_rate() -> None:
    work = Work(limit=aion.Limit("api", rate=(2, 60)))
    async with work.engine() as engine:
        run = await engine.start(work.all_at_once, "abcde")
        await run.result()
        starts = await starts_in(run)
    assert seconds_between([each.recorded_at for each in starts]) == [0, 0, 60, 60, 120]
    assert {(each.attempt, each.delivery) for each in starts} == {(1, 1)}


async def test_a_window_goes_on_from_each_beginning() -> None:
    work = Work(limit=aion.Limit("api", rate=(2, 60)), takes=0)

    @aion.workflow
    async def one_by_one() -> None:
        for name, pause in (("a", 50), ("b", 0), ("c", 0), ("d", 0), ("e", 0)):
            await work.work(name)
            await aion.sleep(pause)

    async with work.engine(one_by_one) as engine:
        await (await engine.start(one_by_one)).result()
    assert work.times == [0, 50, 60, 110, 120]


async def test_concurrency_and_rate_of_one_limit_both_hold() -> None:
    work = Work(limit=aion.Limit("api", concurrency=1, rate=(2, 60)))
    await work.result_of("abcd")
    assert work.times == [0, 10, 60, 70]


async def test_the_higher_priority_begins_first_and_then_who_was_called_first() -> None:
    work = Work(limit=aion.Limit("api", concurrency=1))

    @aion.workflow
    async def urgent() -> None:
        calls = (("a", 0), ("b", 0), ("c", 7), ("d", -1), ("e", 0), ("f", 7))
        await aion.gather(*(work.work.options(priority=high)(name) for name, high in calls))

    async with work.engine(urgent) as engine:
        await (await engine.start(urgent)).result()
    # The first has begun before the others were called.
    assert work.names == "acfbed"


async def test_activities_of_any_run_and_type_share_a_limit_by_its_name() -> None:
    work = Work(limit=TWO)

    @aion.activity
    async def other() -> None:
        work.note("other")

    @aion.workflow
    async def calling_other() -> None:
        await other.options(limit=TWO)()

    async with work.engine(calling_other) as engine:
        first = await engine.start(work.all_at_once, "ab")
        second = await engine.start(calling_other)
        await first.result()
        await second.result()
    assert work.begun == [("a", 0), ("b", 0), ("other", 10)]


async def test_an_activity_without_a_limit_waits_for_nobody() -> None:
    work = Work(limit=aion.Limit("api", concurrency=1))

    @aion.activity
    async def unlimited() -> None:
        work.note("x")

    @aion.workflow
    async def mixed() -> None:
        await aion.gather(work.work("a"), work.work("b"), unlimited())

    async with work.engine(mixed) as engine:
        await (await engine.start(mixed)).result()
    assert work.begun == [("a", 0), ("x", 0), ("b", 10)]


async def test_an_engine_has_so_many_attempts_under_way_and_no_more() -> None:
    work = Work()
    await work.result_of("abcde", activity_limit=2)
    assert work.most == 2
    assert work.times == [0, 0, 10, 10, 20]


async def test_whoever_waits_for_a_limit_takes_no_room_of_the_engine() -> None:
    work = Work()
    one = work.work.options(limit=aion.Limit("one", concurrency=1))

    @aion.workflow
    async def mixed() -> None:
        await aion.gather(one("a"), one("b"), one("c"), work.work("x"), work.work("y"))

    async with work.engine(mixed, activity_limit=2) as engine:
        await (await engine.start(mixed)).result()
    assert work.begun == [("a", 0), ("x", 0), ("b", 10), ("y", 10), ("c", 20)]


@pytest.mark.parametrize("number", [0, -1])
async def test_an_engine_that_may_begin_nothing_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=r"activity_limit is .*give a number of attempts, or None"):
        aion.open_engine("memory:", activity_limit=number)


async def test_a_retry_waits_for_its_turn_too() -> None:
    begun: list[float] = []
    clock = VirtualClock()

    @aion.activity(limit=ONE_A_MINUTE, retry=aion.RetryPolicy(initial_interval=1))
    async def unlucky() -> int:
        begun.append(clock.monotonic())
        if len(begun) < 3:
            raise ConnectionError
        return len(begun)

    @aion.workflow
    async def trying() -> int:
        return await unlucky()

    async with test_engine(workflows=[trying], clock=clock) as engine:
        run = await engine.start(trying)
        assert await run.result() == 3
        assert [(each.attempt, each.delivery) for each in await starts_in(run)] == [
            (1, 1),
            (2, 1),
            (3, 1),
        ]
    assert begun == [0, 60, 120]


async def test_a_limit_goes_on_when_a_workflow_continues_as_new() -> None:
    work = Work(limit=ONE_A_MINUTE)

    @aion.workflow
    async def again(left: int) -> None:
        await work.work(str(left))
        if left:
            again.continue_as_new(left - 1)

    async with work.engine(again) as engine:
        await (await engine.start(again, 2)).result()
    assert work.begun == [("2", 0), ("1", 60), ("0", 120)]


async def test_who_is_cancelled_while_waiting_is_so_at_once_and_keeps_nobody_waiting() -> None:
    work = Work(limit=aion.Limit("api", concurrency=1))

    @aion.workflow
    async def impatient() -> float:
        began = aion.now()
        with aion.move_on_after(3):
            await work.work("never")
        return (aion.now() - began).total_seconds()

    async with work.engine(impatient) as engine:
        first = await engine.start(work.all_at_once, "a")
        waiting = await engine.start(impatient)
        last = await engine.start(work.all_at_once, "b")
        assert await waiting.result() == 3
        await first.result()
        await last.result()
        (cancelled,) = [
            each for each in await waiting.history() if isinstance(each, e.ActivityCancelled)
        ]
    assert cancelled.attempt is None
    assert work.begun == [("a", 0), ("b", 10)]


async def test_what_a_terminated_run_has_waiting_does_not_begin() -> None:
    work = Work(limit=aion.Limit("api", concurrency=1))
    async with work.engine() as engine:
        ended = await engine.start(work.all_at_once, "abc")
        last = await engine.start(work.all_at_once, "z")
        await ended.terminate("no more")
        await last.result()
    assert work.names == "az"


async def test_a_run_that_is_stuck_has_nothing_waiting(bench: Bench) -> None:
    begun: list[str] = []
    go = aion.Signal("go", int)

    @aion.activity(limit=aion.Limit("api", concurrency=1))
    async def hang(name: str) -> None:
        begun.append(name)
        await trio.sleep_forever()

    @aion.workflow
    async def first() -> None:
        await hang("first")

    @aion.workflow
    async def breaking() -> None:
        async with aion.open_nursery() as nursery:
            nursery.start_soon(hang, "stuck")
            await go.receive()
            raise SystemExit("a defect")

    @aion.workflow
    async def last() -> None:
        await hang("last")

    async with bench.engine(first, breaking, last) as engine:
        run = await engine.start(first)
        stuck = await engine.start(breaking)
        await engine.start(last)
        await stuck.signal(go, 1)
        await wait_all_tasks_blocked()
        assert (await stuck.describe()).stuck
        await run.terminate("let others")
        await wait_all_tasks_blocked()
    assert begun == ["first", "last"]


async def test_time_for_all_attempts_passes_while_the_first_waits() -> None:
    work = Work(limit=aion.Limit("api", concurrency=1), takes=100)

    @aion.workflow
    async def in_a_hurry() -> str:
        try:
            return await work.work.options(schedule_to_close=20)("late")
        except aion.ActivityError as error:
            return f"{error.kind}: {error.message}"

    async with work.engine(in_a_hurry) as engine:
        await engine.start(work.all_at_once, "ab")
        late = await engine.start(in_a_hurry)
        assert await late.result() == "timeout: not finished within 20 s (schedule_to_close)"
    assert work.names == "a"


async def test_the_time_of_an_attempt_runs_from_its_turn() -> None:
    work = Work(limit=aion.Limit("api", concurrency=1), start_to_close=15, heartbeat_timeout=12)
    assert await work.result_of("abcd") == "abcd"
    assert work.times == [0, 10, 20, 30]


async def test_evicted_runs_have_their_turn(store: EventStore | Path) -> None:
    work = Work(limit=aion.Limit("api", concurrency=2, rate=(3, 60)))
    async with work.engine(store=store, resident_bytes=0, replay_check=False) as engine:
        runs = [await engine.start(work.all_at_once, name) for name in "abcdefg"]
        for run, name in zip(runs, "abcdefg", strict=True):
            assert await run.result() == name
    assert work.begun == list(zip("abcdefg", [0, 0, 10, 60, 60, 70, 120], strict=True))


async def test_an_evicted_run_sleeps_until_its_turn(bench: Bench) -> None:
    let_go = trio.Event()

    @aion.activity(limit=aion.Limit("api", concurrency=1))
    async def wait_for_it() -> None:
        await let_go.wait()

    @aion.workflow
    async def waiting() -> None:
        await wait_for_it()

    async with bench.engine(waiting, resident_bytes=0) as engine:
        runs = [await engine.start(waiting, workflow_id=str(number)) for number in range(5)]
        await wait_all_tasks_blocked()
        reads = bench.store.reads
        await bench.advance(1000)
        assert bench.store.reads == reads
        let_go.set()
        for run in runs:
            await run.result()


async def test_a_window_survives_a_restart(store: EventStore | Path) -> None:
    work = Work(limit=aion.Limit("api", rate=(2, 60)))
    async with work.engine(store=store) as engine:
        await (await engine.start(work.all_at_once, "ab")).result()
    assert work.clock.monotonic() == 10
    await work.result_of("cd", store=store)
    assert work.times == [0, 0, 60, 60]


async def test_a_window_survives_a_crash(store: EventStore | Path) -> None:
    work = Work(limit=aion.Limit("api", rate=(2, 60)))
    async with work.engine(store=store) as engine:
        run = await engine.start(work.all_at_once, "abcde", workflow_id="w")
        await work.clock.advance(65)
        assert work.names == "abcd"
        await engine.crash()
        assert await run.result() == "abcde"
    # Two were under way, and each had to be made again, which counts as well.
    assert work.begun[4:] == [("c", 120), ("d", 120), ("e", 180)]


async def test_who_only_waited_was_not_handed_out_by_any_crash() -> None:
    work = Work(limit=aion.Limit("api", concurrency=1), takes=1000)
    async with work.engine() as engine:
        run = await engine.start(work.all_at_once, "ab")
        for _ in range(8):
            await wait_all_tasks_blocked()
            await engine.crash()
            if any(isinstance(each, e.ActivityFailed) for each in await run.history()):
                break
        starts = await starts_in(run)
        (failed,) = [each for each in await run.history() if isinstance(each, e.ActivityFailed)]
    assert failed.error.kind == "crashed"
    assert {each.activity_id for each in starts} == {failed.activity_id}


async def test_an_orderly_stop_takes_back_what_it_has_handed_out(store: EventStore | Path) -> None:
    """However often the program is restarted, that is no reason to give an activity up."""
    work = Work(limit=aion.Limit("api", rate=(1, 1)), takes=1000)
    for _ in range(8):
        async with work.engine(store=store) as engine:
            await engine.start(work.all_at_once, "a", workflow_id="w")
            await work.clock.advance(1)
    async with work.engine(store=store) as engine:
        run = engine.get("w")
        assert await run.result() == "a"
        assert {each.delivery for each in await starts_in(run)} == {1}
    assert work.names == "a" * 9


async def test_nobody_begins_before_that_is_durable(bench: Bench, fault: Fault) -> None:
    begun: list[str] = []

    @aion.activity(limit=aion.Limit("api", rate=(2, 60)))
    async def work(name: str) -> str:
        begun.append(name)
        return name

    @aion.workflow
    async def one_by_one() -> str:
        return "".join([await work(name) for name in "abc"])

    async with bench.engine(one_by_one) as engine:
        fault.arm(e.ActivityStarted)
        run = await engine.start(one_by_one, workflow_id="w")
        await fault.struck()
        assert begun == []
        await fault.heal()
        await wait_all_tasks_blocked()
        assert begun == ["a", "b"]
        await bench.advance(61)
        assert await run.result() == "abc"
    kinds = await bench.kinds("w")
    assert kinds.count(e.ActivityStarted) == 3


async def test_a_slow_commit_does_not_shorten_a_window(bench: Bench) -> None:
    begun: list[float] = []

    @aion.activity(limit=ONE_A_MINUTE)
    async def work() -> None:
        begun.append(bench.clock.monotonic())

    @aion.workflow
    async def twice() -> None:
        await aion.gather(work(), work())

    async with bench.engine(twice) as engine:
        gate = bench.store.hold(e.ActivityStarted)
        run = await engine.start(twice)
        await gate.reached.wait()
        await bench.advance(50)
        gate.open()
        await wait_all_tasks_blocked()
        for _ in range(6):
            await bench.advance(10)
        await run.result()
    assert begun == [50, 110]


async def test_an_attempt_that_waits_for_a_thread_has_not_begun(bench: Bench) -> None:
    begun: list[float] = []
    has_begun, may_end = threading.Event(), threading.Event()

    @aion.activity
    def keep_the_thread() -> None:
        has_begun.set()
        may_end.wait(60)

    @aion.activity(limit=ONE_A_MINUTE)
    def work() -> None:
        begun.append(bench.clock.monotonic())
        has_begun.set()

    @aion.workflow
    async def in_threads() -> None:
        await aion.gather(keep_the_thread(), work(), work())

    async with bench.engine(in_threads, executor=LocalExecutor(threads=1)) as engine:
        run = await engine.start(in_threads)
        await trio.to_thread.run_sync(has_begun.wait)
        has_begun.clear()
        await bench.advance(50)
        assert begun == []
        may_end.set()
        await trio.to_thread.run_sync(has_begun.wait)
        await bench.advance(59)
        assert begun == [50]
        await bench.advance(1)
        await run.result()
    assert begun == [50, 110]


async def test_a_store_that_does_not_say_who_has_begun_is_asked_again(bench: Bench) -> None:
    work = Work(limit=ONE_A_MINUTE, takes=0)

    class Forgetful(MemoryStore):
        failures = 2

        async def limit_starts(self, name: str, since: datetime) -> Sequence[datetime]:
            if self.failures:
                self.failures -= 1
                raise StoreUnavailableError("not now")
            return await super().limit_starts(name, since)

    assert await work.result_of("ab", store=Forgetful()) == "ab"
    assert work.times == [2, 62]


@pytest.mark.parametrize("jump", [-86_400.0, -30.0, 30.0, 86_400.0])
async def test_a_clock_that_is_set_neither_frees_nor_blocks(jump: float) -> None:
    work = Work(limit=ONE_A_MINUTE)
    async with work.engine() as engine:
        run = await engine.start(work.all_at_once, "abc")
        await work.clock.advance(20)
        work.clock.set_wall_clock(work.clock.now() + timedelta(seconds=jump))
        assert await run.result() == "abc"
    # Set back by less than a window, it has to come to the end of the window once more.
    assert work.times == [0, 90, 150] if jump == -30 else [0, 60, 120]


async def test_a_retry_whose_time_is_to_come_again_by_a_clock_set_back_keeps_no_turn() -> None:
    work = Work(takes=40, limit=aion.Limit("api", concurrency=1))

    @aion.activity(
        limit=aion.Limit("api", concurrency=1), retry=aion.RetryPolicy(initial_interval=30)
    )
    async def unlucky() -> str:
        work.note("u")
        if len(work.begun) == 1:
            raise ConnectionError
        return "u"

    @aion.workflow
    async def trying() -> str:
        return await unlucky()

    async with work.engine(trying) as engine:
        retried = await engine.start(trying)
        run = await engine.start(work.all_at_once, "a")
        await work.clock.advance(35)  # its retry is due, and waits behind the one under way
        work.clock.set_wall_clock(work.clock.now() - timedelta(seconds=600))
        await work.clock.advance(10)  # by now that has ended
        another = await engine.start(work.all_at_once, "b")
        assert await run.result() == "a"
        assert await another.result() == "b"
        assert await retried.result() == "u"
    assert work.begun == [("a", 0), ("u", 0), ("b", 45), ("u", 630)]


async def test_a_clock_that_is_set_back_while_nobody_runs_blocks_for_one_window(
    store: EventStore | Path,
) -> None:
    work = Work(limit=ONE_A_MINUTE)
    await work.result_of("a", store=store)
    work.clock.set_wall_clock(work.clock.now() - timedelta(days=300))
    await work.result_of("b", store=store)
    assert work.times == [0, 70]


async def test_who_waits_costs_no_task() -> None:
    work = Work(limit=aion.Limit("api", concurrency=3))
    async with work.engine(replay_check=False) as engine:
        await work.clock.advance(0)
        before = trio.lowlevel.current_statistics().tasks_living
        run = await engine.start(work.all_at_once, "x" * 10_000)
        await work.clock.advance(0)
        assert work.names == "xxx"
        # The three, and whatever the engine does now and then.
        assert trio.lowlevel.current_statistics().tasks_living < before + 10
        await run.terminate("enough")


async def test_many_that_have_waited_too_long_are_told_so() -> None:
    """One after the other, and not each from within the one before."""
    work = Work(limit=aion.Limit("api", concurrency=1), takes=100)

    @aion.workflow
    async def in_a_hurry() -> int:
        late = work.work.options(schedule_to_close=50)

        async def is_late() -> bool:
            try:
                await late("late")
            except aion.ActivityError:
                return True
            return False

        return sum(await aion.gather(*(is_late() for _ in range(400))))

    async with work.engine(in_a_hurry) as engine:
        await engine.start(work.all_at_once, "a")
        assert await (await engine.start(in_a_hurry)).result() == 400


async def test_waiting_attempts_are_released_when_the_engine_stops() -> None:
    work = Work(limit=aion.Limit("api", concurrency=1), takes=5)
    async with work.engine() as engine:
        await engine.start(work.all_at_once, "abc")
        await wait_all_tasks_blocked()
    assert work.names == "a"


async def test_a_supplied_outcome_ends_the_waiting() -> None:
    work = Work(limit=aion.Limit("api", concurrency=1))
    async with work.engine() as engine:
        run = await engine.start(work.all_at_once, "abc")
        await run.supply("activity:1/0", value="by hand", supplied_by="kim")
        assert await run.result() == "aby handc"
    assert work.begun == [("a", 0), ("c", 10)]
