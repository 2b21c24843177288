"""Queries through an engine: answered by what is durable, wherever the run is."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from tests.runtime.messaging import STORES, MailBench, opened, settled

go = aion.Signal("go", int)
total = aion.Query("total", int)
near = aion.Query("totall", int)


@pytest.fixture(params=STORES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MailBench]:
    async with opened(request.param, tmp_path) as inner:
        yield MailBench(inner)


@aion.workflow
async def adding(count: int) -> int:
    sum_ = 0
    total.answer(lambda: sum_)
    for _ in range(count):
        sum_ += await go.receive()
    return sum_


@pytest.mark.parametrize("resident_bytes", [0, 1 << 30])
async def test_an_open_run_answers_in_memory_or_not(bench: MailBench, resident_bytes: int) -> None:
    async with bench.engine(adding, resident_bytes=resident_bytes) as engine:
        handle = await engine.start(adding, 3, workflow_id="w")
        assert await handle.query(total) == 0
        await handle.signal(go, 4)
        assert await handle.query(total) == 4
    async with bench.engine(adding, resident_bytes=resident_bytes) as engine:
        assert await engine.get("w").query(total) == 4
    assert await bench.kinds("w") == [e.WorkflowStarted, e.SignalReceived]


async def test_a_run_that_has_ended_answers_by_the_state_it_ended_in(bench: MailBench) -> None:
    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, 2, workflow_id="w")
        await handle.signal(go, 1)
        await handle.signal(go, 2)
        await handle.result()
        assert await handle.query(total) == 3
    async with bench.engine(adding) as engine:
        assert await engine.get("w").query(total) == 3


@pytest.mark.parametrize("way", ["terminate", "cancel"])
async def test_a_run_that_was_ended_from_outside_answers_by_its_last_state(
    bench: MailBench, way: str
) -> None:
    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, 2, workflow_id="w")
        await handle.signal(go, 1)
        await (handle.terminate() if way == "terminate" else handle.cancel())
        await settled(engine)
        assert await handle.query(total) == 1


async def test_the_newest_run_answers(bench: MailBench) -> None:
    @aion.workflow
    async def renewing(start: int) -> int:
        sum_ = start
        total.answer(lambda: sum_)
        sum_ += await go.receive()
        if start == 0:
            renewing.continue_as_new(10 * sum_)
        return sum_

    async with bench.engine(renewing) as engine:
        handle = await engine.start(renewing, 0)
        await handle.signal(go, 4)
        assert await handle.query(total) == 40
        await handle.signal(go, 1)
        assert await handle.result() == 41
        assert await handle.query(total) == 41


async def test_a_stuck_run_does_not_answer(bench: MailBench) -> None:
    @aion.workflow
    async def defective() -> int:
        total.answer(lambda: 1)
        await go.receive()
        raise SystemExit("a defect")

    async with bench.engine(defective) as engine:
        handle = await engine.start(defective, workflow_id="w")
        await handle.signal(go, 1)
        await settled(engine)
        with pytest.raises(aion.WorkflowStuckError, match="a defect"):
            await handle.query(total)
    async with bench.engine(adding) as engine:
        with pytest.raises(aion.WorkflowStuckError, match="has no workflow 'defective'"):
            await engine.get("w").query(total)


async def test_who_asks_while_the_run_turns_out_to_be_stuck_is_told(bench: MailBench) -> None:
    @aion.workflow
    async def mute() -> None:
        await go.receive()

    async with bench.engine(mute) as engine:
        await engine.start(mute, workflow_id="w")
    async with bench.engine(adding) as engine:
        with pytest.raises(aion.WorkflowStuckError):
            await engine.get("w").query(total)


async def test_an_unknown_query_is_refused_with_the_nearest_name(bench: MailBench) -> None:
    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, 1)
        with pytest.raises(aion.QueryError, match=r"no answer to the query 'totall'.*'total'"):
            await handle.query(near)
        await handle.signal(go, 1)
        await handle.result()
        with pytest.raises(aion.QueryError, match="'total'"):
            await handle.query(near)
        with pytest.raises(aion.WorkflowNotFoundError):
            await engine.get("nobody").query(total)


async def test_only_what_is_durable_is_told() -> None:
    bench = MailBench()
    answers: list[int] = []
    async with bench.engine(adding) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(adding, 3)
        gate = bench.store.hold(e.SignalReceived)
        nursery.start_soon(handle.signal, go, 5)
        await gate.reached.wait()

        async def ask() -> None:
            answers.append(await handle.query(total))

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert answers == []
        gate.open()
        await wait_all_tasks_blocked()
        assert answers == [5]


async def test_who_asks_while_an_append_fails_is_answered_after_the_next_try() -> None:
    bench = MailBench()
    answers: list[int] = []
    async with bench.engine(adding) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(adding, 3)
        bench.store.refuse(e.SignalReceived, times=2)
        nursery.start_soon(handle.signal, go, 5)

        async def ask() -> None:
            answers.append(await handle.query(total))

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        for _ in range(3):
            await bench.advance(1)
    # Before the signal or after it, but never something that was not recorded.
    assert answers in ([0], [5])


@aion.activity
async def double(value: int) -> int:
    return 2 * value


CHANGES: dict[str, Any] = {
    "activity": lambda: _start(double(1)),
    "signal": go.receive_nowait,
    "random": aion.rng,
    "attributes": lambda: aion.set_attributes(stage="asked"),
    "patch": lambda: aion.patched("p"),
    "timer": lambda: aion.start_timer("t", 5),
}


def _start(coroutine: Any) -> None:
    try:
        coroutine.send(None)
    finally:
        coroutine.close()


@pytest.mark.parametrize("what", CHANGES)
async def test_an_answer_that_would_change_something_is_refused(what: str) -> None:
    bench = MailBench()

    @aion.workflow
    async def curious() -> int:
        total.answer(CHANGES[what])
        return await go.receive()

    async with bench.engine(curious) as engine:
        handle = await engine.start(curious, workflow_id="w")
        with pytest.raises(aion.QueryError, match="may change nothing"):
            await handle.query(total)
        await handle.signal(go, 2)
        assert await handle.result() == 2
    assert await bench.kinds("w") == [e.WorkflowStarted, e.SignalReceived, e.WorkflowCompleted]


@pytest.mark.parametrize(
    "make",
    [lambda: SystemExit("no"), aion.Cancelled, lambda: ValueError("no")],
    ids=["exit", "cancelled", "value"],
)
@pytest.mark.parametrize("is_cold", [False, True])
async def test_whatever_an_answer_raises_the_run_and_the_engine_go_on(
    make: Callable[[], BaseException], is_cold: bool
) -> None:
    bench = MailBench()

    @aion.workflow
    async def odd() -> int:
        def answer() -> int:
            raise make()

        total.answer(answer)
        return await go.receive()

    async with bench.engine(odd, resident_bytes=0 if is_cold else 1 << 30) as engine:
        handle = await engine.start(odd, workflow_id="w")
        await settled(engine)
        with pytest.raises(aion.QueryError, match="failed"):
            await handle.query(total)
        await handle.signal(go, 2)
        assert await handle.result() == 2


async def test_an_answer_that_continues_as_new_is_refused() -> None:
    bench = MailBench()

    @aion.workflow
    async def odd() -> int:
        total.answer(odd.continue_as_new)
        return await go.receive()

    async with bench.engine(odd) as engine:
        handle = await engine.start(odd, workflow_id="w")
        with pytest.raises(aion.QueryError):
            await handle.query(total)
        await handle.signal(go, 2)
        assert await handle.result() == 2


async def test_an_answer_that_does_not_fit_its_type_is_an_error(bench: MailBench) -> None:
    @aion.workflow
    async def odd() -> int:
        total.answer(lambda: "seven")  # type: ignore[arg-type, return-value]
        return await go.receive()

    async with bench.engine(odd, adding) as engine:
        handle = await engine.start(odd)
        with pytest.raises(aion.QueryError, match="does not fit its type"):
            await handle.query(total)
        with pytest.raises(aion.PayloadError):
            await (await engine.start(adding, 1)).query(aion.Query("total", str))


async def test_code_that_no_longer_fits_cannot_answer_for_a_run_that_has_ended(
    bench: MailBench,
) -> None:
    @aion.workflow(name="adding")
    async def changed(count: int) -> int:
        total.answer(lambda: 0)
        await aion.sleep(1)
        return 0

    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, 1, workflow_id="w")
        await handle.signal(go, 1)
        await handle.result()
    async with bench.engine(changed) as engine:
        with pytest.raises(aion.QueryError, match="is closed and cannot be brought back"):
            await engine.get("w").query(total)


async def test_questions_to_an_engine_that_stops_are_answered_by_an_error() -> None:
    bench = MailBench()
    told: list[Exception] = []
    async with trio.open_nursery() as nursery:
        async with bench.engine(adding) as engine:
            handle = await engine.start(adding, 3)
            bench.store.hold(e.SignalReceived)
            nursery.start_soon(_ignore, handle)
            await wait_all_tasks_blocked()

            async def ask() -> None:
                try:
                    await handle.query(total)
                except aion.EngineStoppedError as error:
                    told.append(error)

            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        with pytest.raises(aion.EngineStoppedError):
            await handle.query(total)
        nursery.cancel_scope.cancel()
    assert len(told) == 1


async def _ignore(handle: aion.WorkflowHandle[int]) -> None:
    with contextlib.suppress(aion.EngineStoppedError):
        await handle.signal(go, 5)


@pytest.mark.parametrize("query", ["total", go, 5])
async def test_something_else_than_a_query_is_refused(query: Any) -> None:
    bench = MailBench()
    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, 1)
        with pytest.raises(aion.WorkflowUsageError, match="query takes a Query, not"):
            await handle.query(query)


async def test_what_code_has_grown_by_is_not_told_before_it_is_durable(bench: MailBench) -> None:
    @aion.workflow(name="growing")
    async def short() -> int:
        return await go.receive()

    @aion.workflow(name="growing")
    async def longer() -> int:
        steps = 0
        total.answer(lambda: steps)
        aion.set_attributes(stage="grown")
        steps = 1
        return await go.receive()

    async with bench.engine(short) as engine:
        await engine.start(short, workflow_id="w")
    gate = bench.store.hold(e.SearchAttributesUpdated)
    answers: list[int] = []

    async def ask(handle: aion.WorkflowHandle[int]) -> None:
        answers.append(await handle.query(total))

    async with bench.engine(longer) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(ask, engine.get("w"))
        await gate.reached.wait()
        nursery.start_soon(ask, engine.get("w"))
        await wait_all_tasks_blocked()
        assert answers == []
        gate.open()
    assert answers == [1, 1]
