"""Eviction: runs that wait leave memory, and nobody can tell."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.machine.run import Run
from aion_runtime.entries import Entry
from tests.runtime.conftest import Bench

go = aion.Signal("go", int)


@aion.activity
async def double(value: int) -> int:
    return 2 * value


@aion.workflow
async def total(count: int) -> int:
    return sum([await go.receive() for _ in range(count)])


@pytest.fixture(autouse=True)
def others() -> Iterator[list[Entry]]:
    """What other tests have left in this process: a log record keeps an error, and that a frame."""
    gc.collect()
    OTHERS[:] = [each for each in gc.get_objects() if isinstance(each, Entry)]
    yield OTHERS
    OTHERS.clear()


OTHERS: list[Entry] = []


def entries_of(workflow_id: str) -> list[Entry]:
    gc.collect()
    others = set(map(id, OTHERS))
    return [
        each
        for each in gc.get_objects()
        if isinstance(each, Entry) and each.workflow_id == workflow_id and id(each) not in others
    ]


async def test_an_evicted_run_leaves_nothing(bench: Bench) -> None:
    class Local:
        pass

    seen: list[weakref.ref[Any]] = []

    @aion.workflow
    async def holding() -> int:
        local = Local()
        seen.append(weakref.ref(local))

        async def child() -> None:
            seen.append(weakref.ref(local))
            with aion.move_on_after(100):
                await go.receive()

        async with aion.open_nursery() as nursery:
            nursery.start_soon(child)
        return 0

    async with bench.engine(holding, resident_bytes=0) as engine:
        await engine.start(holding, workflow_id="w")
        await engine.start(holding, workflow_id="other")  # loops have the last one in hand
        await wait_all_tasks_blocked()
        assert len(seen) == 4
        gc.collect()
        assert [ref() for ref in seen] == [None] * 4
        runs = [each for each in gc.get_objects() if isinstance(each, Run)]
        assert [each for each in runs if each.workflow_id in ("w", "other")] == []
        assert entries_of("w") == []


async def test_an_evicted_run_goes_on_by_a_signal(bench: Bench) -> None:
    async with bench.engine(total, resident_bytes=0) as engine:
        handle = await engine.start(total, 2, workflow_id="w")
        await handle.signal(go, 1)
        await handle.signal(go, 2)
        assert await handle.result() == 3
    assert len(bench.store.reads) >= 3


async def test_an_evicted_run_goes_on_by_a_timer(bench: Bench) -> None:
    @aion.workflow
    async def sleeper() -> int:
        await aion.sleep(10)
        await aion.sleep(10)
        return 1

    async with bench.engine(sleeper, resident_bytes=0) as engine:
        handle = await engine.start(sleeper)
        await bench.advance(10)
        await bench.advance(10)
        assert await handle.result() == 1


async def test_who_waits_for_the_result_of_an_evicted_run_gets_it(bench: Bench) -> None:
    results: list[int] = []

    async with bench.engine(total, resident_bytes=0) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(total, 1, workflow_id="w")

        async def wait() -> None:
            results.append(await handle.result())

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        await handle.signal(go, 7)
    assert results == [7]


async def test_an_activity_under_way_is_not_touched_by_an_eviction(bench: Bench) -> None:
    began: list[int] = []
    finish = trio.Event()

    @aion.activity
    async def slow() -> int:
        began.append(1)
        await finish.wait()
        return 5

    @aion.workflow
    async def working() -> list[int]:
        results: list[int] = []

        async def work() -> None:
            results.append(await slow())

        async with aion.open_nursery() as nursery:
            nursery.start_soon(work)
            results.append(await go.receive())
        return results

    async with bench.engine(working, resident_bytes=0) as engine:
        handle = await engine.start(working, workflow_id="w")
        await wait_all_tasks_blocked()
        (entry,) = entries_of("w")
        assert entry.run is None
        assert len(entry.running) == 1
        await handle.signal(go, 1)
        await wait_all_tasks_blocked()
        finish.set()
        assert await handle.result() == [1, 5]
    assert began == [1]


async def test_an_evicted_run_is_brought_back_for_the_next_attempt(bench: Bench) -> None:
    tries: list[int] = []

    @aion.activity(retry=aion.RetryPolicy(max_attempts=3, initial_interval=10, backoff=1))
    async def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not yet")
        return 5

    @aion.workflow
    async def trying() -> int:
        return await flaky()

    async with bench.engine(trying, resident_bytes=0) as engine:
        handle = await engine.start(trying, workflow_id="w")
        await wait_all_tasks_blocked()
        assert [entry.run for entry in entries_of("w")] == [None]
        await bench.advance(20)
        await bench.advance(20)
        assert await handle.result() == 5
    assert len(tries) == 3


async def test_an_attempt_of_a_former_process_is_handed_out_again_once(bench: Bench) -> None:
    began: list[int] = []

    @aion.activity
    async def endless() -> int:
        began.append(1)
        await trio.Event().wait()
        return 0

    @aion.workflow
    async def working() -> int:
        async with aion.open_nursery() as nursery:
            nursery.start_soon(endless)
            for _ in range(3):
                await go.receive()
        return 0

    async with bench.engine(working) as engine:
        await engine.start(working, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(working, resident_bytes=0) as engine:
        for _ in range(2):
            await engine.get("w").signal(go, 1)
            await wait_all_tasks_blocked()
    kinds = await bench.kinds("w")
    assert len(began) == 2
    assert kinds.count(e.ActivityStarted) <= 1


async def test_clean_up_code_of_an_evicted_run_asks_for_nothing(bench: Bench) -> None:
    @aion.workflow
    async def tidy() -> int:
        try:
            return await go.receive()
        finally:
            await double(1)

    async with bench.engine(tidy, resident_bytes=0) as engine:
        await engine.start(tidy, workflow_id="w")
        await wait_all_tasks_blocked()
        assert await bench.kinds("w") == [e.WorkflowStarted]
        await engine.get("w").signal(go, 3)
        assert await engine.get("w").result() == 3
    assert (await bench.kinds("w")).count(e.ActivityScheduled) == 1


async def test_a_run_whose_code_has_grown_is_stepped_before_it_goes(bench: Bench) -> None:
    @aion.workflow(name="growing")
    async def before() -> int:
        return await go.receive()

    @aion.workflow(name="growing")
    async def after() -> int:
        async with aion.open_nursery() as nursery:
            nursery.start_soon(double, 2)
            nursery.start_soon(double, 3)
            result = await go.receive()
        return result

    async with bench.engine(before) as engine:
        await engine.start(before, workflow_id="w")
    async with bench.engine(after, resident_bytes=0) as engine:
        engine._dispatcher.wake((await engine.describe("w")).workflow_id)
        await wait_all_tasks_blocked()
        kinds = await bench.kinds("w")
        assert kinds.count(e.ActivityCompleted) == 2
        await engine.get("w").signal(go, 1)
        assert await engine.get("w").result() == 1


async def test_runs_for_which_there_is_room_stay(bench: Bench) -> None:
    async with bench.engine(total) as engine:
        handles = [await engine.start(total, 3, workflow_id=f"w{n}") for n in range(10)]
        read = len(bench.store.reads)
        for handle in handles:
            await handle.signal(go, 1)
            await handle.signal(go, 1)
        assert len(bench.store.reads) == read


async def test_the_run_that_has_waited_longest_goes_first(bench: Bench) -> None:
    async with bench.engine(total, resident_bytes=25_000) as engine:
        for number in range(4):
            await engine.start(total, 5, workflow_id=f"w{number}")
        bench.store.reads.clear()
        await engine.get("w3").signal(go, 1)
        await engine.get("w2").signal(go, 1)
        assert bench.store.reads == []
        await engine.get("w0").signal(go, 1)
        assert bench.store.reads == ["w0"]


async def test_a_run_that_is_being_written_stays(bench: Bench) -> None:
    async with bench.engine(total, resident_bytes=0) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(total, 2, workflow_id="w")
        gate = bench.store.hold(e.SignalReceived)
        nursery.start_soon(handle.signal, go, 1)
        await gate.reached.wait()
        # Others come and go meanwhile.
        nursery.start_soon(engine.start, total, 1)
        await wait_all_tasks_blocked()
        (entry,) = entries_of("w")
        assert entry.run is not None
        gate.open()


async def test_a_number_of_bytes_below_zero_is_refused(bench: Bench) -> None:
    with pytest.raises(ValueError, match="give a number of bytes, or 0"):
        bench.engine(total, resident_bytes=-1)


async def test_evictions_leave_nothing_behind(bench: Bench) -> None:
    async with bench.engine(total, resident_bytes=0) as engine:
        handle = await engine.start(total, 100_000, workflow_id="w")

        async def objects_after(signals: int) -> int:
            for _ in range(signals):
                # One history would grow: what the store keeps is not what is measured.
                engine._dispatcher.wake((await handle.describe()).workflow_id)
                await wait_all_tasks_blocked()
            gc.collect()
            return len(gc.get_objects())

        before = await objects_after(100)
        after = await objects_after(300)
    assert after - before < 100


@attrs.frozen
class Outcome:
    """A script's item: the next activity that runs may end, well or badly."""

    works: bool


async def send(
    bench: Bench, engine: aion.Engine, item: object, act: Callable[[bool], None]
) -> None:
    match item:
        case int():
            with suppress(aion.WorkflowClosedError):
                await engine.get("w").signal(go, item)
        case float():
            bench.clock.jump(item)
        case Outcome():
            act(item.works)
    await wait_all_tasks_blocked()


async def history_of(script: list[object], resident_bytes: int) -> list[e.HistoryEvent]:
    bench = Bench()
    asked: list[trio.Event] = []
    answers: list[bool] = []

    @aion.activity(retry=aion.RetryPolicy(max_attempts=3, initial_interval=5, backoff=1))
    async def step(value: int) -> int:
        turn = trio.Event()
        asked.append(turn)
        await turn.wait()
        if not answers.pop(0):
            raise ValueError("it does not work")
        return value + 1

    @aion.workflow
    async def mixed() -> list[Any]:
        seen: list[Any] = []

        async def patient() -> None:
            with aion.move_on_after(30):
                seen.append(await go.receive())
            seen.append(aion.now())

        async def busy() -> None:
            for number in range(3):
                try:
                    seen.append(await step(number))
                except aion.ActivityError:
                    seen.append("failed")
                await aion.sleep(7)

        async with aion.open_nursery() as nursery:
            nursery.start_soon(patient)
            nursery.start_soon(busy)
            seen.extend([await go.receive(), await go.receive()])
        return [str(each) for each in seen]

    def act(works: bool) -> None:
        if asked:
            answers.append(works)
            asked.pop(0).set()

    async with bench.engine(mixed, resident_bytes=resident_bytes) as engine:
        await engine.start(mixed, workflow_id="w")
        await wait_all_tasks_blocked()
        for item in script:
            await send(bench, engine, item, act)
        return await bench.history("w")


def normal(event: e.HistoryEvent) -> e.HistoryEvent:
    match event:
        case e.WorkflowStarted():
            return attrs.evolve(event, run_id="", random_seed=0)  # type: ignore[arg-type]
        case e.SignalReceived():
            return attrs.evolve(event, signal_id="")
    return event


ITEMS = st.one_of(
    st.integers(1, 3),
    st.sampled_from([2.0, 5.0, 10.0, 30.0]),
    st.builds(Outcome, st.booleans()),
)


@given(st.lists(ITEMS, max_size=14))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_run_that_is_evicted_at_every_rest_has_the_history_of_one_that_never_is(
    script: list[object],
) -> None:
    evicted = trio.run(history_of, script, 0)
    resident = trio.run(history_of, script, 1 << 40)
    assert [normal(event) for event in evicted] == [normal(event) for event in resident]
