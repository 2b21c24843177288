"""Versions: by which code a run was begun, by which it goes on, and what history says of that."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from tests.runtime.conftest import Bench

go = aion.Signal("go", int)


@aion.activity
async def one() -> int:
    return 1


@aion.workflow(name="deployed")
async def first_code() -> int:
    return await one() + await go.receive() + await go.receive()


@aion.workflow(name="deployed")
async def same_steps() -> int:
    result = await one()
    for _ in range(2):
        result += await go.receive()
    return result


@aion.workflow(name="deployed")
async def other_steps() -> int:
    return await go.receive()


def unversioned() -> Any:
    """The code of `first_code`, as it is typed into a REPL."""
    namespace = dict(globals())
    exec(
        "@aion.workflow(name='deployed')\n"
        "async def typed_in() -> int:\n"
        "    return await one() + await go.receive() + await go.receive()\n",
        namespace,
    )
    return namespace["typed_in"]


async def begun(bench: Bench, code: Any) -> None:
    async with bench.engine(code) as engine:
        await engine.start(code, workflow_id="w")
        await wait_all_tasks_blocked()


async def versions(bench: Bench) -> list[str]:
    return [
        event.package_version
        for event in await bench.history("w")
        if isinstance(event, e.WorkflowStarted | e.WorkflowVersionAdopted)
    ]


async def test_a_start_records_the_hash_of_the_code(bench: Bench) -> None:
    await begun(bench, first_code)
    (version,) = await versions(bench)
    assert version.startswith("h1:")


async def test_other_code_that_fits_is_adopted_before_the_first_arrival_it_sees(
    bench: Bench,
) -> None:
    await begun(bench, first_code)
    async with bench.engine(same_steps) as engine:
        await engine.get("w").signal(go, 1)
    assert (await bench.kinds("w"))[-2:] == [e.WorkflowVersionAdopted, e.SignalReceived]


async def test_a_version_is_adopted_in_the_append_of_the_next_step(bench: Bench) -> None:
    await begun(bench, first_code)
    bench.store.tries.clear()
    async with bench.engine(same_steps) as engine:
        await engine.get("w").signal(go, 1)
    assert bench.store.tries == [[e.WorkflowVersionAdopted, e.SignalReceived]]


async def test_code_is_adopted_before_what_it_asks_for_although_nothing_arrives(
    bench: Bench,
) -> None:
    @aion.activity
    async def endless() -> None:
        await trio.sleep_forever()

    @aion.workflow(name="grows")
    async def short() -> None:
        await endless()

    @aion.workflow(name="grows")
    async def longer() -> None:
        async with aion.open_nursery() as nursery:
            nursery.start_soon(aion.sleep, 60)
            await endless()

    for code in (short, longer):
        async with bench.engine(code) as engine:
            await engine.start(short, workflow_id="w") if code is short else None
            await wait_all_tasks_blocked()
    assert (await bench.kinds("w"))[:4] == [
        e.WorkflowStarted,
        e.ActivityScheduled,
        e.WorkflowVersionAdopted,
        e.TimerStarted,
    ]


async def test_a_run_that_only_sleeps_on_adopts_nothing(bench: Bench) -> None:
    await begun(bench, first_code)
    history = await bench.history("w")
    async with bench.engine(same_steps):
        await wait_all_tasks_blocked()
    assert await bench.history("w") == history


async def test_an_adopted_version_is_adopted_once(bench: Bench) -> None:
    await begun(bench, first_code)
    for value in (1, 2):
        async with bench.engine(same_steps) as engine:
            await engine.get("w").signal(go, value)
    assert len(await versions(bench)) == 2
    assert (await bench.kinds("w"))[-1] is e.WorkflowCompleted


async def test_a_version_is_adopted_once_although_the_answer_is_lost(bench: Bench) -> None:
    await begun(bench, first_code)
    bench.store.lose_answer(e.WorkflowVersionAdopted)
    async with bench.engine(same_steps) as engine:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.get("w").signal, go, 1)
            await wait_all_tasks_blocked()
            await bench.advance(0.05)
        await engine.get("w").signal(go, 2)
        assert await engine.get("w").result() == 4
    assert len(await versions(bench)) == 2


async def test_code_that_comes_back_is_adopted_again(bench: Bench) -> None:
    await begun(bench, first_code)
    for code, value in ((same_steps, 1), (first_code, 2)):
        async with bench.engine(code) as engine:
            await engine.get("w").signal(go, value)
    begun_by, then, last = await versions(bench)
    assert begun_by == last != then


async def test_a_run_without_a_version_adopts_one(bench: Bench) -> None:
    await begun(bench, unversioned())
    async with bench.engine(first_code) as engine:
        await engine.get("w").signal(go, 1)
    before, after = await versions(bench)
    assert before == e.UNVERSIONED
    assert after.startswith("h1:")


async def test_other_code_that_does_not_fit_holds_the_run(bench: Bench) -> None:
    await begun(bench, first_code)
    async with bench.engine(other_steps) as engine:
        await engine.get("w").signal(go, 1)
        assert "no longer fits" in ((await engine.get("w").describe()).stuck or "")
    assert len(await versions(bench)) == 1


async def test_under_strict_other_code_holds_the_run_even_if_it_fits(bench: Bench) -> None:
    await begun(bench, first_code)
    (version,) = await versions(bench)
    async with bench.engine(same_steps, on_version_mismatch="strict") as engine:
        await engine.get("w").signal(go, 1)
        reason = (await engine.get("w").describe()).stuck or ""
    assert f"was begun by version {version}, but version h1:" in reason


async def test_under_strict_the_same_code_goes_on(bench: Bench) -> None:
    await begun(bench, first_code)
    async with bench.engine(first_code, on_version_mismatch="strict") as engine:
        for value in (1, 2):
            await engine.get("w").signal(go, value)
        assert await engine.get("w").result() == 4


async def test_under_strict_the_adopted_version_counts(bench: Bench) -> None:
    await begun(bench, first_code)
    async with bench.engine(same_steps) as engine:
        await engine.get("w").signal(go, 1)
    async with bench.engine(same_steps, on_version_mismatch="strict") as engine:
        await engine.get("w").signal(go, 2)
        assert await engine.get("w").result() == 4


async def test_an_unknown_policy_for_versions_is_refused() -> None:
    with pytest.raises(aion.ConfigError, match="'replay' and 'strict', not 'newest'"):
        async with aion.open_engine("memory:", on_version_mismatch="newest"):  # type: ignore[arg-type]
            pytest.fail("opened")
