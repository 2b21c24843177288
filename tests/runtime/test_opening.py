"""Opening an engine and leaving it: which store, which workflows, and what comes out at the end."""

from __future__ import annotations

import importlib.util
import signal
import threading
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_store_memory.store import MemoryStore
from aion_store_sqlite.store import open_store
from tests.runtime.conftest import Bench

go = aion.Signal("go", int)


@aion.workflow
async def empty() -> str:
    return "done"


@aion.workflow
async def waiting() -> int:
    return await go.receive()


async def test_without_a_store_the_error_shows_the_line_to_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AION_STORE", raising=False)
    with pytest.raises(aion.ConfigError, match=r"open_engine\('sqlite:///aion.db'"):
        async with aion.open_engine(workflows=[empty]):
            pytest.fail("opened without a store")


async def test_the_store_comes_from_the_environment_when_none_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AION_STORE", f"sqlite:///{tmp_path}/from_environment.db")
    async with aion.open_engine(workflows=[empty]) as engine:
        await engine.start(empty, workflow_id="w")
    assert (tmp_path / "from_environment.db").exists()


async def test_an_unknown_scheme_names_the_package_to_install() -> None:
    with pytest.raises(aion.ConfigError, match="pip install aion-workflow-store-postgres"):
        async with aion.open_engine("postgres://here", workflows=[empty]):
            pytest.fail("opened an unknown store")


async def test_a_plugin_to_be_disabled_that_is_not_there_is_a_warning_or_a_slip(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AION_DISABLE_PLUGINS", "elsewhere")
    async with aion.open_engine("memory:", workflows=[empty]):
        assert "'elsewhere' is to be disabled (AION_DISABLE_PLUGINS)" in caplog.text
    monkeypatch.setenv("AION_DISABLE_PLUGINS", "sqlit")
    with pytest.raises(aion.ConfigError, match="did you mean 'sqlite'"):
        async with aion.open_engine("memory:", workflows=[empty]):
            pytest.fail("opened with a plugin that was not to act")


async def test_an_unwritable_path_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(aion.StoreUnavailableError, match="create it first"):
        async with aion.open_engine(f"sqlite:///{tmp_path}/none/a.db", workflows=[empty]):
            pytest.fail("opened without a directory")


async def test_a_second_engine_on_a_store_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    async with aion.open_engine(url, workflows=[empty]) as first:
        with pytest.raises(aion.StoreUnavailableError, match="being written by this process"):
            async with aion.open_engine(url, workflows=[empty]):
                pytest.fail("two engines on one store")
        assert await (await first.start(empty)).result() == "done"


def load(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_module(path: Path, names: tuple[str, ...]) -> types.ModuleType:
    lines = ["import aion_runtime as aion"]
    for name in names:
        lines += ["@aion.workflow", f"async def {name}() -> str:", f"    return {name!r}"]
    path.write_text("\n".join(lines))
    return load(path)


async def test_a_module_stands_for_the_workflows_in_it(tmp_path: Path) -> None:
    module = write_module(tmp_path / "shop.py", ("order", "refund"))
    async with aion.open_engine("memory:", workflows=[module]) as engine:
        assert await (await engine.start(module.order)).result() == "order"
        assert await (await engine.start(module.refund)).result() == "refund"


async def test_a_module_without_workflows_is_refused(tmp_path: Path) -> None:
    module = write_module(tmp_path / "vacant.py", ())
    with pytest.raises(aion.ConfigError, match="'vacant' holds no workflow"):
        async with aion.open_engine("memory:", workflows=[module]):
            pytest.fail("opened with an empty module")


async def test_two_definitions_with_one_name_are_refused_naming_both_files(tmp_path: Path) -> None:
    modules = [write_module(tmp_path / name, ("order",)) for name in ("one.py", "two.py")]
    with pytest.raises(aion.ConfigError, match="'order'") as caught:
        async with aion.open_engine("memory:", workflows=modules):
            pytest.fail("opened with two definitions of one name")
    assert str(tmp_path / "one.py") in str(caught.value)
    assert str(tmp_path / "two.py") in str(caught.value)


async def test_one_definition_may_be_given_twice(tmp_path: Path) -> None:
    module = write_module(tmp_path / "shop.py", ("order",))
    async with aion.open_engine("memory:", workflows=[module, module.order]) as engine:
        assert await (await engine.start(module.order)).result() == "order"


async def test_what_is_no_workflow_is_refused() -> None:
    def function() -> None: ...

    with pytest.raises(aion.ConfigError, match="decorated with @workflow"):
        async with aion.open_engine("memory:", workflows=[function]):  # type: ignore[list-item]
            pytest.fail("opened with a function")


class OwnError(Exception):
    pass


ERRORS = [
    OwnError("mine"),
    ExceptionGroup("mine", [OwnError("a"), OwnError("b")]),
    ExceptionGroup("of one", [OwnError("a")]),
    KeyboardInterrupt(),
    SystemExit(3),
    StopIteration(1),
    StopAsyncIteration(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("url", ["memory:", "sqlite:///{}/a.db"], ids=["memory", "sqlite"])
async def test_what_the_body_raises_comes_out_as_it_is(
    error: BaseException, url: str, tmp_path: Path
) -> None:
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        async with aion.open_engine(url.format(tmp_path), workflows=[empty]):
            raise error
    assert caught.value is error


async def test_the_failure_of_a_workflow_comes_out_as_it_is() -> None:
    @aion.workflow
    async def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(aion.WorkflowFailedError, match="ValueError: broken"):
        async with aion.open_engine("memory:", workflows=[broken]) as engine:
            await (await engine.start(broken)).result()


async def test_cancelling_the_caller_stays_a_cancellation() -> None:
    with trio.move_on_after(0) as scope:
        async with aion.open_engine("memory:", workflows=[empty]):
            await trio.sleep_forever()
    assert scope.cancelled_caught


@pytest.mark.parametrize("checkpoints", range(12))
async def test_an_engine_can_be_cancelled_at_any_moment_of_its_opening(
    checkpoints: int, tmp_path: Path
) -> None:
    """The services are shielded: were they begun in a cancelled nursery, this would never end."""
    with trio.CancelScope() as scope:
        async with aion.open_engine(
            CancellingStore(scope, checkpoints), workflows=[empty], shutdown_grace=0
        ):
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught


class CancellingStore(MemoryStore):
    """Cancels whoever opens an engine on it, after so many checkpoints of its own."""

    def __init__(self, scope: trio.CancelScope, checkpoints: int) -> None:
        super().__init__()
        self._scope = scope
        self._left = checkpoints

    def writer(self, *, takeover: bool = False) -> Any:
        return _CancellingWriter(super().writer(takeover=takeover), self._scope, self._left)


class _CancellingWriter:
    def __init__(self, inner: Any, scope: trio.CancelScope, checkpoints: int) -> None:
        self._inner = inner
        self._scope = scope
        self._checkpoints = checkpoints

    async def __aenter__(self) -> Any:
        writer = await self._inner.__aenter__()
        if self._checkpoints == 0:
            # As when the cancellation comes while the claim is in the database's thread.
            self._scope.cancel()
        else:
            trio.lowlevel.spawn_system_task(self._cancel_later)
        return writer

    async def _cancel_later(self) -> None:
        for _ in range(self._checkpoints):
            await trio.lowlevel.checkpoint()
        self._scope.cancel()

    async def __aexit__(self, *details: object) -> Any:
        return await self._inner.__aexit__(*details)


def test_a_ctrl_c_while_the_store_is_opened_ends_the_opening() -> None:
    """It is delivered at the next await, by which time the services may be about to begin."""

    async def open_and_stay() -> None:
        async with aion.open_engine(InterruptingStore(), workflows=[empty]):
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(open_and_stay)


class InterruptingStore(MemoryStore):
    """Has Ctrl-C pressed at the end of the claim."""

    def writer(self, *, takeover: bool = False) -> Any:
        return _InterruptingWriter(super().writer(takeover=takeover))


class _InterruptingWriter:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Any:
        writer = await self._inner.__aenter__()
        signal.raise_signal(signal.SIGINT)
        return writer

    async def __aexit__(self, *details: object) -> Any:
        return await self._inner.__aexit__(*details)


async def test_results_waited_for_elsewhere_end_when_the_engine_stops(bench: Bench) -> None:
    refused: list[str] = []

    async def wait(handle: aion.WorkflowHandle[int]) -> None:
        with pytest.raises(aion.EngineStoppedError):
            await handle.result()
        refused.append(handle.workflow_id)

    async with trio.open_nursery() as nursery:
        async with bench.engine(waiting) as engine:
            for workflow_id in ("a", "b"):
                handle = await engine.start(waiting, workflow_id=workflow_id)
                nursery.start_soon(wait, handle)
                nursery.start_soon(wait, handle)
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert sorted(refused) == ["a", "a", "b", "b"]


async def test_a_stopped_engine_says_so_whatever_it_is_asked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    async with aion.open_engine(url, workflows=[waiting, empty]) as engine:
        handle = await engine.start(waiting, workflow_id="w")
        over = await engine.start(empty, workflow_id="v")
        await over.result()
    calls: list[Callable[[], Any]] = [
        partial(engine.start, waiting),
        partial(handle.signal, go, 1),
        handle.result,
        over.result,
        handle.describe,
        handle.history,
        engine.list_runs,
    ]
    for call in calls:
        with pytest.raises(aion.EngineStoppedError):
            await call()
    async with aion.open_engine(url, workflows=[waiting]) as engine:
        assert (await engine.get("w").describe()).events == 1
        assert len((await engine.list_runs()).runs) == 2


async def test_a_stopping_engine_takes_nothing_new_and_finishes_what_runs(bench: Bench) -> None:
    finish = trio.Event()
    refused: list[str] = []

    @aion.activity
    async def work() -> int:
        await finish.wait()
        return 7

    @aion.workflow
    async def worker() -> int:
        return await work()

    async def try_while_stopping() -> None:
        await wait_all_tasks_blocked()
        with pytest.raises(aion.EngineStoppedError):
            await engine.start(worker, workflow_id="late")
        refused.append("start")
        with pytest.raises(aion.EngineStoppedError):
            await engine.get("w").signal(go, 1)
        refused.append("signal")
        assert (await engine.get("w").describe()).status is aion.WorkflowStatus.RUNNING
        finish.set()

    async with (
        trio.open_nursery() as nursery,
        bench.engine(worker, shutdown_grace=60) as engine,
    ):
        await engine.start(worker, workflow_id="w")
        await wait_all_tasks_blocked()
        nursery.start_soon(try_while_stopping)
    assert refused == ["start", "signal"]
    assert (await bench.kinds("w"))[-1] is e.WorkflowCompleted


async def test_a_stopping_engine_begins_no_further_activity(bench: Bench) -> None:
    begun: list[str] = []
    finish = trio.Event()

    @aion.activity
    async def step(name: str) -> None:
        begun.append(name)
        await finish.wait()

    @aion.workflow
    async def stepping() -> None:
        await step("first")
        await step("second")

    async def finish_while_stopping() -> None:
        await wait_all_tasks_blocked()
        finish.set()

    async with (
        trio.open_nursery() as nursery,
        bench.engine(stepping, shutdown_grace=60) as engine,
    ):
        await engine.start(stepping, workflow_id="w")
        await wait_all_tasks_blocked()
        nursery.start_soon(finish_while_stopping)
    assert begun == ["first"]
    assert await bench.kinds("w") == [
        e.WorkflowStarted,
        e.ActivityScheduled,
        e.ActivityCompleted,
        e.ActivityScheduled,
    ]


async def test_what_does_not_end_in_the_grace_period_is_released(
    bench: Bench, autojump_clock: trio.testing.MockClock
) -> None:
    """Neither failed nor counted: whoever opens the store next runs it again."""

    @aion.activity
    async def endless() -> None:
        await trio.sleep_forever()

    @aion.workflow
    async def worker() -> None:
        await endless()

    async with bench.engine(worker, shutdown_grace=5) as engine:
        await engine.start(worker, workflow_id="w")
        await wait_all_tasks_blocked()
        begun = trio.current_time()
    assert trio.current_time() - begun == pytest.approx(5)
    assert await bench.kinds("w") == [e.WorkflowStarted, e.ActivityScheduled]


async def test_a_thread_that_does_not_end_is_left_behind(bench: Bench) -> None:
    finish = threading.Event()

    @aion.activity
    def stubborn() -> None:
        finish.wait()

    @aion.workflow
    async def worker() -> None:
        await stubborn()

    async with bench.engine(worker, shutdown_grace=0) as engine:
        await engine.start(worker, workflow_id="w")
        await wait_all_tasks_blocked()
    finish.set()
    assert await bench.kinds("w") == [e.WorkflowStarted, e.ActivityScheduled]


async def test_an_engine_that_lost_its_store_to_another_says_so_bare(bench: Bench) -> None:
    with pytest.raises(aion.FencedError, match="taken over"):
        async with bench.engine(waiting) as engine:
            await engine.start(waiting, workflow_id="w")
            async with bench.store.inner.writer(takeover=True):
                with trio.CancelScope(shield=True):
                    await engine.start(waiting, workflow_id="v")


async def test_whoever_waits_for_a_fenced_engine_is_told_that_it_has_stopped(
    bench: Bench,
) -> None:
    told: list[str] = []

    async def attempt(name: str, call: Callable[[], Any]) -> None:
        with pytest.raises(aion.EngineStoppedError):
            await call()
        told.append(name)

    async with trio.open_nursery() as nursery:
        with pytest.raises(aion.FencedError):
            async with bench.engine(waiting, shutdown_grace=60) as engine:
                handle = await engine.start(waiting, workflow_id="w")
                async with bench.store.inner.writer(takeover=True):
                    nursery.start_soon(attempt, "result", handle.result)
                    nursery.start_soon(attempt, "signal", partial(handle.signal, go, 1))
                    start = partial(engine.start, waiting, workflow_id="v")
                    nursery.start_soon(attempt, "start", start)
                    await trio.sleep_forever()
        await wait_all_tasks_blocked()
        assert sorted(told) == ["result", "signal", "start"]


async def test_a_fenced_engine_lets_go_of_its_activities_at_once(bench: Bench) -> None:
    stopped = trio.Event()

    @aion.activity
    async def endless() -> None:
        try:
            await trio.sleep_forever()
        finally:
            stopped.set()

    @aion.workflow
    async def worker() -> None:
        await endless()

    with pytest.raises(aion.FencedError):
        async with bench.engine(worker, waiting, shutdown_grace=3600) as engine:
            await engine.start(worker, workflow_id="w")
            await wait_all_tasks_blocked()
            async with bench.store.inner.writer(takeover=True):
                await engine.start(waiting)
    assert stopped.is_set()


async def test_a_call_to_an_engine_that_has_failed_does_not_wait_for_ever(bench: Bench) -> None:
    """Between the failure and the end of the caller's block nobody would answer."""
    async with bench.engine(waiting) as engine:
        await engine.start(waiting, workflow_id="older")
    bench.store.refuse(e.WorkflowStarted, error=OwnError("a bug in a store"))
    with pytest.raises(OwnError, match="a bug in a store"):
        async with bench.engine(waiting) as engine:
            with trio.CancelScope(shield=True):
                for workflow_id in ("a", "b"):
                    with pytest.raises(aion.EngineStoppedError):
                        await engine.start(waiting, workflow_id=workflow_id)
                with pytest.raises(aion.EngineStoppedError):
                    await engine.get("older").result()


async def test_a_program_with_its_own_sigterm_handler_keeps_it() -> None:
    received: list[int] = []
    former = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        async with aion.open_engine("memory:", workflows=[empty]) as engine:
            signal.raise_signal(signal.SIGTERM)
            assert await (await engine.start(empty)).result() == "done"
        assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, former)


async def test_sigterm_is_nobodys_again_after_the_engine() -> None:
    async with aion.open_engine("memory:", workflows=[empty]):
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_an_open_store_is_used_and_left_open(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/a.db") as store:
        async with aion.open_engine(store, workflows=[empty]) as engine:
            await (await engine.start(empty, workflow_id="w")).result()
        async with aion.open_engine(store, workflows=[empty]) as engine:
            assert await engine.get("w").result() == "done"


async def test_an_empty_store_has_nothing_to_recover(bench: Bench) -> None:
    async with bench.engine(empty) as engine:
        assert engine.recovery_report == aion.StartupReport(resumed=(), parked=0, stuck={})
        assert (await engine.list_runs()).runs == []
