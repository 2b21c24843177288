"""Starts with a delay, through an engine: over restarts, and with what comes meanwhile."""

from datetime import datetime
from pathlib import Path

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.errors import QueryError, WorkflowFailedError
from aion_core.ids import START_TIMER
from aion_runtime.admission import KEPT
from aion_runtime.testing import VirtualClock, test_engine
from aion_runtime.testing.replaying import replay_history

pytestmark = pytest.mark.trio

go = aion.Signal("go", str)
seen = aion.Query("seen", list[str])
add = aion.Update("add", str, int)


@aion.workflow
async def note() -> list[str]:
    got = [aion.now().isoformat()]
    seen.answer(lambda: got)

    async def handler(word: str) -> int:
        got.append(word)
        return len(got)

    add.handle(handler)
    got.append(await go.receive())
    return got


@aion.workflow
async def at_once() -> str:
    return aion.now().isoformat()


@aion.workflow
async def chain(left: int) -> str:
    if left:
        await aion.sleep(1)
        chain.continue_as_new(left - 1)
    return aion.now().isoformat()


def kinds(history: object) -> list[str]:
    assert isinstance(history, list | tuple)
    return [type(event).__name__ for event in history]


def later(clock: VirtualClock, seconds: float) -> str:
    return datetime.fromtimestamp(clock.now().timestamp() + seconds, clock.now().tzinfo).isoformat()


async def test_the_code_runs_when_the_delay_is_over() -> None:
    async with test_engine(workflows=[at_once]) as engine:
        expected = later(engine.clock, 60)
        run = await engine.start(at_once, delay=60)
        assert await run.result() == expected


async def test_a_start_without_a_delay_has_no_timer() -> None:
    async with test_engine(workflows=[at_once]) as engine:
        run = await engine.start(at_once)
        await run.result()
        assert kinds(await run.history()) == ["WorkflowStarted", "WorkflowCompleted"]


async def test_a_run_that_waits_is_running() -> None:
    async with test_engine(workflows=[note]) as engine:
        run = await engine.start(note, delay=60)
        assert (await run.describe()).status.value == "Running"
        assert kinds(await run.history()) == ["WorkflowStarted", "TimerStarted"]


async def test_a_signal_sent_before_is_received() -> None:
    async with test_engine(workflows=[note]) as engine:
        expected = later(engine.clock, 60)
        run = await engine.start(note, delay=60)
        await run.signal(go, "early")
        assert await run.result() == [expected, "early"]


async def test_a_query_before_says_that_the_code_has_not_run() -> None:
    async with test_engine(workflows=[note]) as engine:
        run = await engine.start(note, delay=60)
        with pytest.raises(QueryError, match="waits to be begun"):
            await run.query(seen)


async def test_an_update_sent_before_is_answered_when_the_code_runs() -> None:
    async with test_engine(workflows=[note]) as engine:
        run = await engine.start(note, delay=60)
        assert await run.update(add, "word") == 2
        await run.signal(go, "end")
        assert (await run.result())[1:] == ["word", "end"]


async def test_an_update_that_waits_is_refused_when_the_run_is_cancelled() -> None:
    async with test_engine(workflows=[note]) as engine:
        run = await engine.start(note, delay=60)
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(aion.WorkflowClosedError):
                    await run.update(add, "word")

            nursery.start_soon(ask)
            nursery.start_soon(run.cancel, "not needed")


async def test_a_cancelled_one_never_runs() -> None:
    async with test_engine(workflows=[note]) as engine:
        run = await engine.start(note, delay=60)
        await run.cancel("not needed")
        with pytest.raises(WorkflowFailedError, match="not needed"):
            await run.result()
        assert kinds(await run.history())[2:] == ["WorkflowCancelRequested", "WorkflowCancelled"]


async def test_a_terminated_one_never_runs() -> None:
    async with test_engine(workflows=[note]) as engine:
        run = await engine.start(note, delay=60)
        await run.terminate("enough")
        assert kinds(await run.history())[2:] == ["WorkflowTerminated"]


async def test_the_same_start_again_is_the_same_run() -> None:
    async with test_engine(workflows=[at_once]) as engine:
        expected = later(engine.clock, 60)
        await engine.start(at_once, workflow_id="w", delay=60)
        again = await engine.start(at_once, workflow_id="w", delay=5)
        assert await again.result() == expected


async def test_the_run_that_follows_begins_at_once() -> None:
    async with test_engine(workflows=[chain]) as engine:
        expected = later(engine.clock, 62)
        run = await engine.start(chain, 2, delay=60)
        assert await run.result() == expected


@pytest.mark.parametrize("delay", [-1, float("nan")])
async def test_a_delay_is_no_time_that_has_passed(delay: float) -> None:
    async with test_engine(workflows=[at_once]) as engine:
        with pytest.raises(ValueError, match="a duration is between 0 seconds"):
            await engine.start(at_once, delay=delay)


async def test_a_delay_of_nothing_begins_at_once() -> None:
    async with test_engine(workflows=[at_once]) as engine:
        expected = later(engine.clock, 0)
        run = await engine.start(at_once, delay=0)
        assert await run.result() == expected


@pytest.fixture(params=["memory", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else str(tmp_path / "store.db")


async def test_a_delay_goes_on_over_a_crash(place: str) -> None:
    async with test_engine(place, workflows=[note]) as engine:
        expected = later(engine.clock, 60)
        run = await engine.start(note, delay=60)
        await run.signal(go, "early")
        await engine.crash()
        assert await run.result() == [expected, "early"]


async def test_a_delay_that_was_over_while_no_engine_ran_begins_the_run_at_once(
    tmp_path: Path,
) -> None:
    place, clock = str(tmp_path / "store.db"), VirtualClock()
    async with test_engine(place, workflows=[at_once], clock=clock) as engine:
        await engine.start(at_once, workflow_id="w", delay=60)
    await clock.advance(3_600)
    async with test_engine(place, workflows=[at_once], clock=clock) as engine:
        assert engine.recovery_report.resumed == ()
        assert await engine.get("w").result() == later(clock, 0)


async def test_an_evicted_run_begins_when_its_delay_is_over() -> None:
    async with test_engine(workflows=[note], resident_bytes=0) as engine:
        expected = later(engine.clock, 60)
        run = await engine.start(note, delay=60)
        await run.signal(go, "early")
        assert await run.result() == [expected, "early"]


async def test_what_was_recorded_replays_with_todays_code() -> None:
    async with test_engine(workflows=[note]) as engine:
        run = await engine.start(note, delay=60)
        await run.signal(go, "early")
        replay_history(await run.history(), note)
        await run.result()
        history = await run.history()
        replay_history(history, note)
        fired = next(event for event in history if isinstance(event, e.TimerFired))
        assert fired.timer_id == START_TIMER


async def test_more_starts_than_are_read_at_a_time_all_begin_when_they_are_due_together() -> None:
    async with test_engine(workflows=[at_once], replay_check=False) as engine:
        runs = [await engine.start(at_once, delay=60) for _ in range(KEPT + 100)]
        for run in runs:
            await run.result()
