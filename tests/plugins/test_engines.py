"""Engines and their plugins: chosen by name, kept apart in one process."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

import aion_runtime as aion
import aion_runtime.plugin
import aion_store_memory.plugin
from aion_core.contracts import ActivityAttempt, LiveExecutor, Observer, SeamContext
from aion_core.events import HistoryEvent
from aion_core.hookspecs import SeamFactory, hookimpl
from aion_core.machine.arrivals import AttemptCompleted
from aion_core.plugins import PluginManager
from aion_runtime.executor import LocalExecutor


@aion.activity
async def double(number: int) -> int:
    return 2 * number


@aion.workflow
async def doubling(number: int) -> int:
    return await double(number)


class Recording(LocalExecutor):
    """The executor of the runtime, which writes down what it runs."""

    def __init__(self, context: SeamContext, ran: list[str]) -> None:
        super().__init__(context)
        self._ran = ran

    async def run_activity(self, attempt: ActivityAttempt) -> AttemptCompleted:
        self._ran.append(attempt.info.workflow_id)
        return await super().run_activity(attempt)


class Plugin(Observer):
    """Offers an executor, brings a workflow and observes; writes down what it sees."""

    def __init__(self, *, brings: bool = False) -> None:
        self.ran: list[str] = []
        self.settings: list[Mapping[str, object]] = []
        self.committed_to: set[str] = set()
        self._brings = brings

    @hookimpl
    def aion_live_executors(self) -> Mapping[str, SeamFactory[LiveExecutor]]:
        return {"recording": self._executor}

    @hookimpl
    def aion_workflows(self) -> Iterable[object]:
        return [doubling] if self._brings else []

    @hookimpl
    def aion_observers(self, settings: Mapping[str, object]) -> Iterable[Observer]:
        self.settings.append(settings)
        return [self]

    def committed(self, events: Sequence[HistoryEvent]) -> None:
        self.committed_to |= {event.workflow_id for event in events}

    def _executor(self, context: SeamContext) -> LiveExecutor:
        return Recording(context, self.ran)


def manager(plugin: Plugin) -> PluginManager:
    """Our plugins, as if installed, and another one."""
    plugins = PluginManager()
    plugins.register(aion_runtime.plugin, name="runtime")
    plugins.register(aion_store_memory.plugin, name="memory")
    plugins.register(plugin, name="mine")
    return plugins


def configure(text: str) -> None:
    Path("aion.toml").write_text(text)


@pytest.fixture(autouse=True)
def _no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


async def test_an_executor_is_chosen_by_configuration() -> None:
    configure('store = "memory:"\nexecutor = "recording"')
    plugin = Plugin()
    async with aion.open_engine(workflows=[doubling], plugins=manager(plugin)) as engine:
        handle = await engine.start(doubling, 2, workflow_id="w")
        assert await handle.result() == 4
    assert plugin.ran == ["w"]


async def test_a_plugin_brings_workflows() -> None:
    async with aion.open_engine("memory:", plugins=manager(Plugin(brings=True))) as engine:
        handle = await engine.start(doubling, 2, workflow_id="w")
        assert await handle.result() == 4


async def test_the_settings_of_an_engine_reach_its_plugin() -> None:
    configure("[plugin.mine]\nsize = 1\ncolour = 'red'")
    plugin = Plugin()
    settings = {"mine": {"size": 2}}
    async with aion.open_engine("memory:", plugins=manager(plugin), settings=settings):
        assert plugin.settings == [{"size": 2, "colour": "red"}]


async def test_two_engines_in_one_process_have_their_own_plugins() -> None:
    left, right = Plugin(), Plugin()
    async with (
        aion.open_engine(
            "memory:", workflows=[doubling], executor="recording", plugins=manager(left)
        ) as one,
        aion.open_engine("memory:", workflows=[doubling], plugins=manager(right)) as other,
    ):
        for engine, workflow_id in ((one, "l"), (other, "r")):
            handle = await engine.start(doubling, 2, workflow_id=workflow_id)
            await handle.result()
    assert (left.ran, left.committed_to) == (["l"], {"l"})
    assert (right.ran, right.committed_to) == ([], {"r"})


async def test_an_engine_whose_executor_is_not_installed_does_not_open() -> None:
    with pytest.raises(aion.ConfigError, match="did you mean 'recording'"):
        async with aion.open_engine("memory:", executor="recordin", plugins=manager(Plugin())):
            pytest.fail("it opened")
