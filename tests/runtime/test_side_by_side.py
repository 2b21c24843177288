"""Engines and runs side by side share nothing but the process."""

from __future__ import annotations

import contextvars

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from tests.runtime.messaging import MailBench, settled

go = aion.Signal("go", int)
total = aion.Query("total", int)
add = aion.Update("add", int, int)

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


@aion.workflow
async def adding() -> int:
    sum_ = 0

    def change(value: int) -> int:
        nonlocal sum_
        sum_ += value
        variable.set(sum_)
        return sum_

    total.answer(lambda: sum_)
    add.handle(change)
    last = await go.receive()
    assert variable.get() == 0
    return sum_ + last


async def test_engines_with_the_same_workflow_and_ids_do_not_meet() -> None:
    benches = [MailBench() for _ in range(3)]
    async with (
        benches[0].engine(adding) as first,
        benches[1].engine(adding) as second,
        benches[2].engine(adding) as third,
    ):
        engines = [first, second, third]
        handles = [await engine.start(adding, workflow_id="w") for engine in engines]
        async with trio.open_nursery() as nursery:
            for number, handle in enumerate(handles, 1):
                nursery.start_soon(handle.update, add, number)
        assert [await handle.query(total) for handle in handles] == [1, 2, 3]
        await handles[0].terminate()
        await handles[1].signal(go, 10)
        assert await handles[1].result() == 12
        assert await handles[2].query(total) == 3
    assert [len(await bench.history("w")) for bench in benches] == [4, 5, 3]


async def test_runs_of_one_engine_do_not_see_each_others_state() -> None:
    bench = MailBench()
    async with bench.engine(adding) as engine:
        handles = [await engine.start(adding) for _ in range(20)]
        for number, handle in enumerate(handles):
            assert await handle.update(add, number) == number
        assert [await handle.query(total) for handle in handles] == list(range(20))
        for handle in handles:
            await handle.signal(go, 100)
        assert [await handle.result() for handle in handles] == [100 + n for n in range(20)]


async def test_one_run_that_breaks_down_leaves_the_others_alone() -> None:
    @aion.workflow
    async def defective() -> int:
        await go.receive()
        raise SystemExit("a defect")

    bench = MailBench()
    async with bench.engine(adding, defective) as engine:
        bad = await engine.start(defective)
        good = await engine.start(adding)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bad.signal, go, 1)
            nursery.start_soon(good.signal, go, 1)
        assert await good.result() == 1
        with pytest.raises(aion.WorkflowStuckError):
            await bad.result()


@pytest.mark.parametrize("resident_bytes", [0, 1 << 30])
async def test_an_engine_that_is_done_holds_nothing(resident_bytes: int) -> None:
    @aion.workflow
    async def parent(count: int) -> int:
        for number in range(count):
            await go.send("nobody", number)
        handle = await adding.options(workflow_id="child", on_parent_close="abandon").spawn()
        await handle.signal(go, 1)
        return await handle.result()

    bench = MailBench()
    async with bench.engine(parent, resident_bytes=resident_bytes) as engine:
        assert await (await engine.start(parent, 3)).result() == 1
        await settled(engine)
        dispatcher = engine._dispatcher
        # Three signals wait for a workflow that does not exist.
        assert len(dispatcher._in_hand) == 3
        await (await engine.start(adding, workflow_id="nobody")).result()
        await settled(engine)
        assert len(dispatcher._in_hand) == 0
        assert dispatcher._in_hand._undue == {}
        assert dispatcher.answers._pending == {}
        assert len(dispatcher.closings) == 0
        assert len(dispatcher._residents) == 0
    assert (await bench.kinds("nobody"))[:2] == [e.WorkflowStarted, e.SignalReceived]
    assert await bench.pending() == []
