"""Admission: starts that find no room wait, in order, and begin when there is some."""

import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import Append, EventStore, StoreWriter
from aion_core.errors import StoreError, WorkflowFailedError
from aion_core.ids import START_TIMER
from aion_runtime.admission import KEPT
from aion_runtime.testing import TestEngine, VirtualClock, test_engine
from aion_runtime.testing.wrapping import WrappedStore, WrappedWriter

pytestmark = pytest.mark.trio

go = aion.Signal("go", str)
pair = aion.Limit("pair", concurrency=2)
paced = aion.Limit("paced", rate=(2, 60))


@aion.workflow
async def waits() -> str:
    return await go.receive()


@aion.workflow
async def fails() -> None:
    await go.receive()
    raise aion.ApplicationError("no use")


@aion.workflow(limit=pair)
async def limited() -> str:
    return await go.receive()


@aion.workflow(limit=aion.Limit("alone", concurrency=1))
async def limited_alone() -> str:
    return await go.receive()


@aion.workflow(limit=pair, aliases=("formerly",))
async def limited_too() -> str:
    return await go.receive()


@aion.workflow(limit=paced)
async def often() -> str:
    return aion.now().isoformat()


@aion.workflow(limit=aion.Limit("one", concurrency=1))
async def child(seconds: float) -> str:
    await aion.sleep(seconds)
    return aion.now().isoformat()


@aion.workflow
async def parent(count: int) -> list[str]:
    return list(await aion.gather(*(child(10) for _ in range(count))))


@aion.workflow
async def parent_of_waiting(seconds: float) -> str:
    with aion.move_on_after(seconds):
        return await limited.options(workflow_id="kid")()
    return "gave up"


@aion.workflow(limit=aion.Limit("chain", concurrency=1))
async def chain(left: int) -> int:
    await aion.sleep(10)
    if left:
        chain.continue_as_new(left - 1)
    return left


def begin_of(history: Iterable[e.HistoryEvent]) -> datetime | None:
    """When the code of a workflow began; None if it has not."""
    for event in history:
        match event:
            case e.WorkflowStarted(not_before=None):
                return event.recorded_at
            case e.TimerFired() if event.timer_id == START_TIMER:
                return event.recorded_at
    return None


async def begun(engine: TestEngine, ids: Iterable[str]) -> list[str]:
    """Which of these have begun, once nothing more begins."""
    await engine.clock.advance(0.001)
    return [each for each in ids if begin_of(await engine.get(each).history()) is not None]


async def start_all(
    engine: TestEngine, workflow: aion.Workflow[[], str], ids: Sequence[str]
) -> None:
    for each in ids:
        await engine.start(workflow, workflow_id=each)
        # Those of one instant have no order that a restart could know.
        await engine.clock.advance(0.001)


async def end(engine: TestEngine, workflow_id: str) -> None:
    await engine.get(workflow_id).signal(go, "end")
    await engine.get(workflow_id).result()


async def test_a_start_that_finds_room_begins_with_no_extra_event() -> None:
    async with test_engine(workflows=[waits], max_running=2) as engine:
        run = await engine.start(waits)
        assert [type(event).__name__ for event in await run.history()] == ["WorkflowStarted"]


async def test_a_start_that_finds_no_room_is_durable_and_waits() -> None:
    async with test_engine(workflows=[waits], max_running=1) as engine:
        await start_all(engine, waits, "ab")
        assert await begun(engine, "ab") == ["a"]
        started, timer = await engine.get("b").history()
        assert isinstance(started, e.WorkflowStarted)
        assert isinstance(timer, e.TimerStarted)
        assert timer.timer_id == START_TIMER
        assert timer.fire_at == started.not_before


async def test_starts_begin_in_their_order_one_for_each_that_ends() -> None:
    async with test_engine(workflows=[waits], max_running=2) as engine:
        ids = list("fcadbe")
        await start_all(engine, waits, ids)
        for n in range(len(ids)):
            assert await begun(engine, ids) == ids[: n + 2]
            await end(engine, ids[n])


@pytest.mark.parametrize("how", ["completed", "failed", "cancelled", "terminated"])
async def test_a_run_that_has_ended_makes_room(how: str) -> None:
    async with test_engine(workflows=[waits, fails], max_running=1) as engine:
        first = await engine.start(fails if how == "failed" else waits)
        second = await engine.start(waits)
        if how in ("completed", "failed"):
            await first.signal(go, "end")
        elif how == "cancelled":
            await first.cancel("enough")
        else:
            await first.terminate("enough")
        await second.signal(go, "on")
        assert await second.result() == "on"


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_one_that_is_ended_while_it_waits_keeps_nobody_waiting(how: str) -> None:
    async with test_engine(workflows=[waits], max_running=1) as engine:
        await start_all(engine, waits, "abc")
        await getattr(engine.get("b"), how)("not needed")
        with pytest.raises(WorkflowFailedError):
            await engine.get("b").result()
        assert await begun(engine, "abc") == ["a"]
        await end(engine, "a")
        assert await begun(engine, "abc") == ["a", "c"]


async def test_a_limit_is_shared_by_all_workflows_that_name_it() -> None:
    async with test_engine(workflows=[limited, limited_too, waits]) as engine:
        await start_all(engine, limited, "ac")
        await start_all(engine, limited_too, "bd")
        await start_all(engine, waits, "xyz")
        assert await begun(engine, "acbdxyz") == ["a", "c", "x", "y", "z"]
        await end(engine, "c")
        assert await begun(engine, "acbdxyz") == ["a", "c", "b", "x", "y", "z"]


async def test_who_waits_for_a_limit_keeps_nobody_else_waiting() -> None:
    async with test_engine(workflows=[limited, waits], max_running=3) as engine:
        await start_all(engine, limited, "abc")
        await start_all(engine, waits, "xy")
        assert await begun(engine, "abcxy") == ["a", "b", "x"]
        await end(engine, "b")
        assert await begun(engine, "abcxy") == ["a", "b", "c", "x"]


async def test_never_more_begin_in_a_window_than_the_rate_says() -> None:
    async with test_engine(workflows=[often]) as engine:
        runs = [await engine.start(often) for _ in range(7)]
        times = sorted([datetime.fromisoformat(await run.result()) for run in runs])
        gaps = [later - earlier for earlier, later in zip(times, times[2:], strict=False)]
        assert min(gaps) >= timedelta(seconds=60)
        assert times[-1] - times[0] < timedelta(seconds=181)


async def test_a_rate_is_kept_over_a_restart(tmp_path: Path) -> None:
    place, clock = str(tmp_path / "store.db"), VirtualClock()
    async with test_engine(place, workflows=[often], clock=clock) as engine:
        times = [await (await engine.start(often)).result() for _ in range(2)]
    await clock.advance(20)
    async with test_engine(place, workflows=[often], clock=clock) as engine:
        run = await engine.start(often)
        waited = datetime.fromisoformat(await run.result()) - datetime.fromisoformat(times[0])
        assert timedelta(seconds=60) <= waited < timedelta(seconds=61)


async def test_a_rate_counts_those_that_waited_over_a_restart(tmp_path: Path) -> None:
    place, clock = str(tmp_path / "store.db"), VirtualClock()
    async with test_engine(place, workflows=[often], clock=clock) as engine:
        for n in range(5):
            await engine.start(often, workflow_id=f"{n}")
        assert await engine.get("3").result()
    async with test_engine(place, workflows=[often], clock=clock) as engine:
        assert await engine.get("4").result()
        begins = [begin_of(await engine.get(f"{n}").history()) for n in range(5)]
    times = sorted([each for each in begins if each is not None])
    assert min(b - a for a, b in zip(times, times[2:], strict=False)) >= timedelta(seconds=60)


async def test_children_wait_for_a_limit_too() -> None:
    async with test_engine(workflows=[parent]) as engine:
        run = await engine.start(parent, 3)
        times = sorted([datetime.fromisoformat(each) for each in await run.result()])
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(timedelta(seconds=10) <= gap < timedelta(seconds=11) for gap in gaps)


async def test_a_child_that_waits_is_cancelled_with_its_parent() -> None:
    async with test_engine(workflows=[parent_of_waiting, limited]) as engine:
        await start_all(engine, limited, "ab")
        run = await engine.start(parent_of_waiting, 30)
        assert await run.result() == "gave up"
        assert begin_of(await engine.get("kid").history()) is None
        assert (await engine.get("kid").describe()).status.value == "Cancelled"


async def test_a_run_that_goes_on_as_another_keeps_its_place() -> None:
    async with test_engine(workflows=[chain]) as engine:
        first = await engine.start(chain, 2)
        second = await engine.start(chain, 0)
        await second.result()
        ended = (await first.history())[-1].recorded_at
        begins = begin_of(await second.history())
        assert begins is not None
        assert begins >= ended


async def test_a_run_waits_for_nobody_while_nothing_is_configured() -> None:
    async with test_engine(workflows=[waits]) as engine:
        ids = [f"{n}" for n in range(50)]
        await start_all(engine, waits, ids)
        assert await begun(engine, ids) == ids


@pytest.mark.parametrize("number", [0, -1])
async def test_max_running_is_a_number_of_runs(number: int) -> None:
    with pytest.raises(ValueError, match="give a number of runs"):
        async with test_engine(workflows=[waits], max_running=number):
            pass


@pytest.fixture(params=["memory", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory:" if request.param == "memory" else str(tmp_path / "store.db")


async def test_what_is_under_way_counts_after_a_crash_and_who_waits_waits_on(place: str) -> None:
    async with test_engine(place, workflows=[limited, waits], max_running=3) as engine:
        await start_all(engine, limited, "abc")
        await start_all(engine, waits, "xyz")
        before = await begun(engine, "abcxyz")
        await engine.crash()
        assert await begun(engine, "abcxyz") == before == ["a", "b", "x"]
        await end(engine, "a")
        await end(engine, "x")
        assert await begun(engine, "abcxyz") == ["a", "b", "c", "x", "y"]


@pytest.mark.parametrize("crashes_after", range(9))
async def test_the_order_is_the_same_wherever_it_crashes(place: str, crashes_after: int) -> None:
    steps = 0

    async def step(engine: TestEngine) -> None:
        nonlocal steps
        if steps == crashes_after:
            await engine.crash()
        steps += 1

    ids = list("dbca")
    async with test_engine(place, workflows=[waits], max_running=1) as engine:
        for each in ids:
            await step(engine)
            await start_all(engine, waits, each)
        for n, each in enumerate(ids):
            await step(engine)
            assert await begun(engine, ids) == ids[: n + 1]
            await end(engine, each)
        begins = [begin_of(await engine.get(each).history()) for each in ids]
        ends = [(await engine.get(each).history())[-1].recorded_at for each in ids]
    for begin, end_before in zip(begins[1:], ends, strict=False):
        assert begin is not None
        assert begin >= end_before


class Fatal(WrappedStore):
    """Has the engine killed by one of its appends, before it is made or when it is durable."""

    def __init__(self, inner: EventStore, fatal: int, moment: str) -> None:
        super().__init__(inner)
        self.left = fatal
        self.moment = moment
        self.reached = trio.Event()

    def wrap(self, writer: StoreWriter) -> StoreWriter:
        return FatalWriter(self, writer)


class FatalWriter(WrappedWriter):
    def __init__(self, store: Fatal, inner: StoreWriter) -> None:
        super().__init__(store, inner)
        self._store = store

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        self._store.left -= 1
        if self._store.left:
            return await super().append_many(appends)
        if self._store.moment == "after":
            await super().append_many(appends)
        self._store.reached.set()
        await trio.sleep_forever()
        raise AssertionError("nobody waits for ever")


async def kill(store: Fatal, engine: TestEngine) -> None:
    await store.reached.wait()
    await engine.crash()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("fatal", range(1, 12))
async def test_a_crash_at_any_append_changes_no_order(fatal: int, moment: str) -> None:
    ids = list("dbca")
    async with aion.open_store("memory:") as inner, trio.open_nursery() as nursery:
        store = Fatal(inner, fatal, moment)
        async with test_engine(store, workflows=[limited_alone], max_running=3) as engine:
            nursery.start_soon(kill, store, engine)
            await start_all(engine, limited_alone, ids)
            for each in ids:
                await engine.get(each).signal(go, each, signal_id=each)
                assert await engine.get(each).result() == each
            histories = [await engine.get(each).history() for each in ids]
            # The last ones may go in one append.
            assert store.reached.is_set() or fatal > 8
        nursery.cancel_scope.cancel()
    ends = [history[-1].recorded_at for history in histories]
    begins = [begin_of(history) for history in histories]
    for begin, former_end in zip(begins[1:], ends, strict=False):
        assert begin is not None
        assert begin >= former_end


async def test_evicted_runs_keep_their_place() -> None:
    async with test_engine(workflows=[waits], max_running=2, resident_bytes=0) as engine:
        await start_all(engine, waits, "abcd")
        assert await begun(engine, "abcd") == ["a", "b"]
        await end(engine, "a")
        assert await begun(engine, "abcd") == ["a", "b", "c"]


async def test_signals_to_a_run_that_waits_do_not_begin_it() -> None:
    async with test_engine(workflows=[waits], max_running=1, resident_bytes=0) as engine:
        await start_all(engine, waits, "ab")
        await engine.get("b").signal(go, "early")
        assert await begun(engine, "ab") == ["a"]
        await end(engine, "a")
        assert await engine.get("b").result() == "early"


async def test_a_delay_that_is_over_waits_for_room_too() -> None:
    async with test_engine(workflows=[waits], max_running=1) as engine:
        await engine.start(waits, workflow_id="a")
        await engine.start(waits, workflow_id="b", delay=30)
        await engine.clock.advance(60)
        assert await begun(engine, "ab") == ["a"]
        await end(engine, "a")
        assert await begun(engine, "ab") == ["a", "b"]


async def test_a_stuck_run_keeps_its_place(tmp_path: Path) -> None:
    @aion.workflow(name="waits")
    async def changed() -> str:
        await aion.sleep(5)
        return await go.receive()

    @aion.workflow(name="waits")
    async def grown() -> str:
        first = await go.receive()
        await aion.sleep(5)
        return first + await go.receive()

    place = str(tmp_path / "store.db")
    async with test_engine(place, workflows=[grown], max_running=1) as engine:
        await start_all(engine, grown, "ab")
        await engine.get("a").signal(go, "x")
        await begun(engine, "ab")
    async with test_engine(place, workflows=[changed], max_running=1) as engine:
        assert await begun(engine, "ab") == ["a"]
        await engine.get("a").signal(go, "y")
        assert (await engine.describe("a")).stuck is not None
        assert await begun(engine, "ab") == ["a"]
        await engine.get("a").terminate("it is beyond help")
        assert await begun(engine, "ab") == ["a", "b"]


async def test_a_higher_number_lets_those_begin_that_wait_in_the_store(tmp_path: Path) -> None:
    place, clock = str(tmp_path / "store.db"), VirtualClock()
    async with test_engine(place, workflows=[waits], max_running=1, clock=clock) as engine:
        await start_all(engine, waits, "abc")
    async with test_engine(place, workflows=[waits], max_running=3, clock=clock) as engine:
        assert await begun(engine, "abc") == ["a", "b", "c"]


async def test_more_may_wait_than_are_kept_in_memory() -> None:
    async with test_engine(workflows=[waits, limited], max_running=2, replay_check=False) as engine:
        ids = [f"{n}" for n in range(KEPT + 40)]
        await start_all(engine, waits, ids)
        for each in ids:
            await end(engine, each)
        begins = [begin_of(await engine.get(each).history()) for each in ids]
        times = [each for each in begins if each is not None]
        assert len(times) == len(ids)
        assert times == sorted(times)
