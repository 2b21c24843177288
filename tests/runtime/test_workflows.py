"""The engine's calls: starting workflows, their handles, lists and signals."""

from __future__ import annotations

import gc
import uuid
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_runtime.entries import Entry
from tests.runtime.conftest import Bench


@attrs.frozen
class Verdict:
    granted: bool


approval = aion.Signal("approval", Verdict)
go = aion.Signal("go", int)


@aion.workflow
async def add(first: int, second: int = 10) -> int:
    return first + second


@aion.workflow
async def waiting() -> int:
    return await go.receive()


@aion.workflow(accepts=[approval])
async def choosy() -> bool:
    return (await approval.receive()).granted


@aion.workflow
async def broken() -> None:
    raise ValueError("broken")


async def test_a_result_is_what_the_workflow_returned(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        assert await (await engine.start(add, 1, 2)).result() == 3


async def test_the_same_start_again_gives_the_same_workflow(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        await engine.start(add, 1, workflow_id="w")
        again = await engine.start(add, 1, workflow_id="w")
        assert await again.result() == 11
        assert (await bench.kinds("w")).count(e.WorkflowStarted) == 1


async def test_the_same_start_again_after_the_end_gives_the_result(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        await (await engine.start(add, 1, workflow_id="w")).result()
    async with bench.engine(add) as engine:
        assert await (await engine.start(add, 1, workflow_id="w")).result() == 11


async def test_concurrent_starts_of_one_id_give_one_workflow(bench: Bench) -> None:
    async with bench.engine(waiting) as engine, trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(partial(engine.start, waiting, workflow_id="w"))
        await wait_all_tasks_blocked()
        assert await bench.kinds("w") == [e.WorkflowStarted]


async def test_of_concurrent_starts_with_other_inputs_one_wins(bench: Bench) -> None:
    outcomes: list[object] = []

    async def start(number: int) -> None:
        try:
            await engine.start(add, number, workflow_id="w")
        except aion.WorkflowAlreadyStartedError as error:
            outcomes.append(error)
        else:
            outcomes.append(number)

    async with bench.engine(add) as engine:
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(start, number)
        (winner,) = [outcome for outcome in outcomes if isinstance(outcome, int)]
        assert len(outcomes) == 5
        assert await engine.get("w").result() == winner + 10


async def test_an_id_of_another_type_is_refused(bench: Bench) -> None:
    async with bench.engine(add, waiting) as engine:
        await engine.start(waiting, workflow_id="w")
        with pytest.raises(aion.WorkflowAlreadyStartedError, match="as 'waiting', not 'add'"):
            await engine.start(add, 1, workflow_id="w")


async def test_an_id_with_another_input_is_refused(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        await engine.start(add, 1, workflow_id="w")
        with pytest.raises(aion.WorkflowAlreadyStartedError, match="with another input"):
            await engine.start(add, 2, workflow_id="w")


async def test_a_generated_id_is_a_uuid_7_of_this_instant(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        handle = await engine.start(add, 1)
        id_ = uuid.UUID(handle.workflow_id)
        assert (id_.version, id_.variant) == (7, uuid.RFC_4122)
        assert id_.int >> 80 == int(bench.clock.now().timestamp() * 1000)


async def test_generated_ids_differ(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        ids = {(await engine.start(add, 1)).workflow_id for _ in range(20)}
        assert len(ids) == 20


@pytest.mark.parametrize("bad", ["", " w", "w\n", "x" * 256, "a\x00b", "\ud800", 7])
async def test_what_cannot_be_an_id_is_refused(bench: Bench, bad: Any) -> None:
    async with bench.engine(add) as engine:
        with pytest.raises(aion.InvalidIdError):
            await engine.start(add, 1, workflow_id=bad)
        with pytest.raises(aion.InvalidIdError):
            engine.get(bad)
        assert (await engine.list_runs()).runs == []


async def test_keywords_are_given_by_partial(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        assert await (await engine.start(partial(add, second=5), 1)).result() == 6


async def test_a_partial_and_a_plain_call_with_the_same_values_are_the_same_start(
    bench: Bench,
) -> None:
    async with bench.engine(add) as engine:
        await engine.start(add, 1, workflow_id="w")
        await engine.start(partial(add, first=1, second=10), workflow_id="w")


async def test_arguments_that_do_not_fit_the_signature_are_refused(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        with pytest.raises(TypeError):
            await engine.start(add)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await engine.start(add, 1, 2, 3)  # type: ignore[arg-type]
        assert (await engine.list_runs()).runs == []


async def test_an_argument_that_cannot_be_stored_is_refused_with_its_path(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        with pytest.raises(aion.PayloadError, match=r"\$\.first"):
            await engine.start(add, "one")  # type: ignore[arg-type]
        assert (await engine.list_runs()).runs == []


async def test_a_workflow_that_was_not_given_to_the_engine_is_refused(bench: Bench) -> None:
    async with bench.engine(waiting) as engine:
        with pytest.raises(aion.UnknownWorkflowTypeError, match=r"'add' \(it has: waiting\)"):
            await engine.start(add, 1)


async def test_another_definition_by_a_given_name_is_refused(bench: Bench) -> None:
    @aion.workflow(name="add")
    async def impostor(first: int) -> int:
        return first

    async with bench.engine(add) as engine:
        with pytest.raises(aion.WorkflowUsageError, match="another workflow named 'add'"):
            await engine.start(impostor, 1)


async def test_only_workflows_can_be_started(bench: Bench) -> None:
    async def function() -> None: ...

    async with bench.engine(add) as engine:
        with pytest.raises(aion.WorkflowUsageError, match="decorated with @workflow"):
            await engine.start(function)


async def test_a_failed_workflow_raises_what_it_failed_of(bench: Bench) -> None:
    async with bench.engine(broken) as engine:
        handle = await engine.start(broken, workflow_id="w")
        with pytest.raises(aion.WorkflowFailedError) as caught:
            await handle.result()
        assert (caught.value.failure.type, caught.value.failure.message) == ("ValueError", "broken")


async def test_a_result_that_cannot_be_stored_fails_the_workflow_with_its_path(
    bench: Bench,
) -> None:
    @aion.workflow
    async def lying() -> list[int]:
        return [1, "two"]  # type: ignore[list-item]

    async with bench.engine(lying) as engine:
        with pytest.raises(aion.WorkflowFailedError, match=r"\$\[1\]"):
            await (await engine.start(lying)).result()


async def test_a_result_is_the_same_for_whoever_comes_later(bench: Bench) -> None:
    async with bench.engine(add, broken) as engine:
        await (await engine.start(add, 1, workflow_id="a")).result()
        await engine.start(broken, workflow_id="b")
    async with bench.engine(add, broken) as engine:
        assert await engine.get("a").result() == 11
        with pytest.raises(aion.WorkflowFailedError):
            await engine.get("b").result()


async def test_many_can_wait_for_one_result(bench: Bench) -> None:
    results: list[int] = []

    async def wait() -> None:
        results.append(await engine.get("w").result())

    async with bench.engine(waiting) as engine:
        handle = await engine.start(waiting, workflow_id="w")
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            await handle.signal(go, 3)
    assert results == [3] * 5


async def test_whoever_stops_waiting_for_a_result_leaves_the_workflow_alone(bench: Bench) -> None:
    async with bench.engine(waiting) as engine:
        handle = await engine.start(waiting, workflow_id="w")
        with trio.CancelScope() as scope:
            scope.cancel()
            await handle.result()
        assert scope.cancelled_caught
        await handle.signal(go, 3)
        assert await handle.result() == 3


@pytest.mark.parametrize("call", ["result", "describe", "history"])
async def test_an_unknown_workflow_is_not_found(bench: Bench, call: str) -> None:
    async with bench.engine(add) as engine:
        with pytest.raises(aion.WorkflowNotFoundError, match="'nobody'"):
            await getattr(engine.get("nobody"), call)()


async def test_a_signal_to_an_unknown_workflow_is_refused(bench: Bench) -> None:
    async with bench.engine(waiting) as engine:
        with pytest.raises(aion.WorkflowNotFoundError):
            await engine.get("nobody").signal(go, 1)
        assert (await engine.list_runs()).runs == []


async def test_a_signal_to_a_closed_workflow_is_refused_and_not_recorded(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        handle = await engine.start(add, 1, workflow_id="w")
        await handle.result()
        history = await bench.history("w")
        with pytest.raises(aion.WorkflowClosedError, match="Completed"):
            await handle.signal(go, 1)
        assert await bench.history("w") == history


async def test_of_two_signals_in_one_step_the_one_after_the_end_is_refused(bench: Bench) -> None:
    """Nobody is told "accepted" for something that no code ever saw."""
    outcomes: list[str] = []

    async def send(number: int) -> None:
        try:
            await handle.signal(go, number)
        except aion.WorkflowClosedError:
            outcomes.append("refused")
        else:
            outcomes.append("accepted")

    async with bench.engine(waiting) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(waiting, workflow_id="w")
        nursery.start_soon(send, 1)
        nursery.start_soon(send, 2)
        await wait_all_tasks_blocked()
        assert sorted(outcomes) == ["accepted", "refused"]
        assert (await bench.kinds("w")).count(e.SignalReceived) == 1


async def test_a_signal_that_is_not_accepted_is_refused_with_the_nearest_name(
    bench: Bench,
) -> None:
    async with bench.engine(choosy) as engine:
        handle = await engine.start(choosy, workflow_id="w")
        with pytest.raises(aion.WorkflowUsageError, match="did you mean 'approval'"):
            await handle.signal(aion.Signal("aproval", Verdict), Verdict(granted=True))
        assert await bench.kinds("w") == [e.WorkflowStarted]


async def test_an_accepted_signal_arrives(bench: Bench) -> None:
    async with bench.engine(choosy) as engine:
        handle = await engine.start(choosy, workflow_id="w")
        await handle.signal(approval, Verdict(granted=True))
        assert await handle.result() is True


async def test_a_value_that_does_not_fit_its_signal_is_refused_unrecorded(bench: Bench) -> None:
    async with bench.engine(waiting) as engine:
        handle = await engine.start(waiting, workflow_id="w")
        with pytest.raises(aion.PayloadError):
            await handle.signal(go, "one")  # type: ignore[misc]
        assert await bench.kinds("w") == [e.WorkflowStarted]


async def test_a_value_that_does_not_fit_the_accepted_signal_is_refused_unrecorded(
    bench: Bench,
) -> None:
    """The sender's signal has the right name, but another type."""
    async with bench.engine(choosy) as engine:
        handle = await engine.start(choosy, workflow_id="w")
        with pytest.raises(aion.PayloadError):
            await handle.signal(aion.Signal("approval", int), 1)
        assert await bench.kinds("w") == [e.WorkflowStarted]


async def test_signals_are_received_in_the_order_of_their_sending(bench: Bench) -> None:
    @aion.workflow
    async def collecting() -> list[int]:
        return [await go.receive() for _ in range(4)]

    async with bench.engine(collecting) as engine:
        handle = await engine.start(collecting)
        for number in range(4):
            await handle.signal(go, number)
        assert await handle.result() == [0, 1, 2, 3]


async def test_a_list_of_runs_has_pages_newest_first(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        for number in range(7):
            await engine.start(add, number, workflow_id=f"w{number}")
            await bench.advance(1)
        seen: list[str] = []
        cursor = None
        while True:
            page = await engine.list_runs(limit=3, cursor=cursor)
            assert 1 <= len(page.runs) <= 3
            seen += [run.workflow_id for run in page.runs]
            cursor = page.cursor
            if cursor is None:
                break
    assert seen == [f"w{number}" for number in reversed(range(7))]


async def test_a_run_is_described_in_a_line(bench: Bench) -> None:
    async with bench.engine(broken) as engine:
        handle = await engine.start(broken, workflow_id="w")
        summary = await handle.describe()
        assert summary == aion.WorkflowSummary(
            workflow_id=handle.workflow_id,
            run_id=summary.run_id,
            workflow_type="broken",
            status=aion.WorkflowStatus.FAILED,
            started_at=datetime(2030, 1, 1, tzinfo=UTC),
            closed_at=datetime(2030, 1, 1, tzinfo=UTC),
            events=2,
            failure_reason="ValueError: broken",
        )
        assert (await engine.list_runs()).runs == [summary]


async def test_a_history_is_what_the_store_holds(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        handle = await engine.start(add, 1, workflow_id="w")
        await handle.result()
        assert list(await handle.history()) == await bench.history("w")
        assert await bench.kinds("w") == [e.WorkflowStarted, e.WorkflowCompleted]


async def test_a_sleep_lasts_as_long_as_it_says(bench: Bench) -> None:
    @aion.workflow
    async def sleeper() -> float:
        before = aion.now()
        await aion.sleep(3600)
        return (aion.now() - before).total_seconds()

    async with bench.engine(sleeper) as engine:
        handle = await engine.start(sleeper)
        await bench.advance(3599.9)
        assert not (await handle.describe()).status.is_closed
        await bench.advance(0.1)
        assert await handle.result() == 3600


async def test_of_two_timers_the_later_start_with_the_earlier_end_fires_first(
    bench: Bench,
) -> None:
    """The service naps until the first is due, and has to be woken for the second."""

    @aion.workflow
    async def sleeper(seconds: float) -> str:
        await aion.sleep(seconds)
        return "awake"

    async with bench.engine(sleeper) as engine:
        late = await engine.start(sleeper, 100)
        await wait_all_tasks_blocked()
        early = await engine.start(sleeper, 1)
        await bench.advance(1)
        assert await early.result() == "awake"
        assert not (await late.describe()).status.is_closed
        await bench.advance(99)
        assert await late.result() == "awake"


async def test_a_result_in_hand_beats_a_deadline_of_the_same_instant(bench: Bench) -> None:
    @aion.workflow
    async def racing() -> str:
        with aion.move_on_after(10):
            return f"signal {await go.receive()}"
        return "deadline"

    async with bench.engine(racing) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(racing)
        # The timer comes first, but its step is refused; then both are in the mailbox.
        bench.store.refuse(e.TimerFired)
        await bench.advance(10)
        nursery.start_soon(handle.signal, go, 1)
        await wait_all_tasks_blocked()
        await bench.advance(0.05)
        assert await handle.result() == "signal 1"


async def test_thousand_workflows_run_side_by_side(bench: Bench) -> None:
    @aion.workflow
    async def sleeper(number: int) -> int:
        await aion.sleep(number % 7 + 1)
        return number

    async with bench.engine(sleeper) as engine:
        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(partial(engine.start, sleeper, number, workflow_id=f"w{number}"))
        for _ in range(7):
            await bench.advance(1)
        assert [await engine.get(f"w{number}").result() for number in range(1000)] == list(
            range(1000)
        )


async def test_a_closed_run_takes_no_memory(bench: Bench) -> None:
    async with bench.engine(add) as engine:
        handles = [await engine.start(add, 1) for _ in range(10)]
        for handle in handles:
            await handle.result()
        gc.collect()
        entries = {each.workflow_id for each in gc.get_objects() if isinstance(each, Entry)}
        # The loops, which wait, may still have their last one in hand.
        assert len(entries & {handle.workflow_id for handle in handles}) <= 1
