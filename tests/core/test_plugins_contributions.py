"""Contributions: every plugin is heard, in the order of names, and named when it fails."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType

import pytest

from aion_core.authoring.workflows import workflow
from aion_core.contracts import EngineView, Observer
from aion_core.errors import ConfigError, PluginError
from aion_core.hookspecs import hookimpl
from aion_core.payloads import PayloadConverter
from aion_core.plugins import PluginManager
from tests.plugins.parts import View


@workflow
async def one() -> None: ...


class Plugin:
    """Contributes to everything, and writes down what it is told."""

    def __init__(self, name: str, told: list[str], failing: str = "") -> None:
        self.name, self.told, self.failing = name, told, failing

    def _tell(self, what: str) -> None:
        self.told.append(f"{self.name} {what}")
        if what == self.failing:
            raise RuntimeError(f"{self.name} cannot")

    @hookimpl
    def aion_workflows(self) -> Iterable[object]:
        self._tell("workflows")
        return [one]

    @hookimpl
    def aion_observers(self, settings: Mapping[str, object]) -> Iterable[Observer]:
        self._tell(f"observers {dict(settings)}")
        return [Observer()]

    @hookimpl
    def aion_configure_converter(self, converter: PayloadConverter) -> None:
        self._tell("converter")

    @hookimpl
    def aion_engine_starting(self, engine: EngineView) -> None:
        self._tell("starting")

    @hookimpl
    def aion_engine_stopped(self, engine: EngineView) -> None:
        self._tell("stopped")


def manager(*plugins: Plugin) -> PluginManager:
    made = PluginManager()
    for plugin in plugins:
        made.register(plugin, name=plugin.name)
    return made


def three(failing: str = "", *, who: str = "b") -> tuple[PluginManager, list[str]]:
    """Plugins a, b and c, registered in another order; the named one fails."""
    told: list[str] = []
    plugins = (Plugin(name, told, failing if name == who else "") for name in ("b", "c", "a"))
    return manager(*plugins), told


def answering(**hooks: Callable[..., object]) -> PluginManager:
    """A manager with one plugin of these hooks."""
    plugins = PluginManager()
    functions = {name: staticmethod(hookimpl(hook)) for name, hook in hooks.items()}
    plugins.register(type("Plugin", (), functions)(), name="a")
    return plugins


def test_the_workflows_of_all_plugins_are_given() -> None:
    plugins, told = three()
    assert plugins.workflows() == [one, one, one]
    assert told == ["a workflows", "b workflows", "c workflows"]


def test_a_plugin_may_give_modules_of_workflows() -> None:
    module = ModuleType("flows")
    assert answering(aion_workflows=lambda: [module]).workflows() == [module]


def test_a_plugin_that_gives_something_else_than_a_workflow_is_named() -> None:
    with pytest.raises(PluginError, match="plugin 'a' gives a str among its workflows or modules"):
        answering(aion_workflows=lambda: ["one"]).workflows()


@pytest.mark.parametrize(("answer", "shown"), [(None, "NoneType"), (one, "Workflow")])
def test_a_plugin_that_gives_no_list_of_workflows_is_named(answer: object, shown: str) -> None:
    with pytest.raises(PluginError, match=f"plugin 'a' gives a {shown}, not a list of workflows"):
        answering(aion_workflows=lambda: answer).workflows()


def test_a_plugin_that_fails_while_it_gives_workflows_is_named() -> None:
    def generate() -> Iterator[object]:
        yield one
        raise RuntimeError("no more")

    with pytest.raises(PluginError, match=r"plugin 'a' failed to give its workflows .*: no more"):
        answering(aion_workflows=generate).workflows()


def test_every_observer_comes_with_the_name_of_its_plugin() -> None:
    plugins, _ = three()
    assert [name for name, _ in plugins.observers({})] == ["a", "b", "c"]


def test_each_plugin_gets_its_own_settings_for_its_observers() -> None:
    plugins, told = three()
    plugins.observers({"a": {"x": 1}, "c": {"y": 2}})
    assert told == ["a observers {'x': 1}", "b observers {}", "c observers {'y': 2}"]


def test_observers_of_another_kind_are_refused() -> None:
    with pytest.raises(PluginError, match="plugin 'a' gives a int among its observers"):
        answering(aion_observers=lambda settings: [1]).observers({})


def test_observers_whose_settings_cannot_be_used_are_a_configuration_error() -> None:
    def refuse(settings: Mapping[str, object]) -> Iterable[Observer]:
        raise ConfigError("endpoint is missing; set it")

    with pytest.raises(ConfigError, match=r"plugin 'a' .*: endpoint is missing; set it"):
        answering(aion_observers=refuse).observers({})


def test_a_hook_may_leave_out_parameters() -> None:
    def without_settings() -> Iterable[Observer]:
        return [Observer()]

    assert len(answering(aion_observers=without_settings).observers({})) == 1


def test_a_plugin_configures_the_converter_of_the_engine() -> None:
    given: list[object] = []

    def configure(converter: PayloadConverter) -> None:
        given.append(converter)

    converter = PayloadConverter()
    answering(aion_configure_converter=configure).configure_converter(converter)
    assert given == [converter]


def test_a_plugin_that_fails_to_configure_the_converter_is_named() -> None:
    plugins, _ = three("converter")
    with pytest.raises(PluginError, match="plugin 'b' failed in aion_configure_converter: b cann"):
        plugins.configure_converter(PayloadConverter())


def test_a_starting_engine_is_told_in_the_order_of_names() -> None:
    plugins, told = three()
    plugins.engine_starting(View())
    assert told == ["a starting", "b starting", "c starting"]


def test_a_stopped_engine_is_told_in_the_reverse_order() -> None:
    plugins, told = three()
    plugins.engine_stopped(View())
    assert told == ["c stopped", "b stopped", "a stopped"]


def test_the_hooks_of_the_life_cycle_get_the_engine() -> None:
    given: list[EngineView] = []

    def told(engine: EngineView) -> None:
        given.append(engine)

    view = View()
    plugins = answering(aion_engine_starting=told, aion_engine_stopped=told)
    plugins.engine_starting(view)
    plugins.engine_stopped(view)
    assert given == [view, view]


def test_a_plugin_that_raises_keeps_the_engine_from_starting() -> None:
    plugins, _ = three("starting")
    with pytest.raises(PluginError, match="plugin 'b' failed in aion_engine_starting: b cannot"):
        plugins.engine_starting(View())


def test_when_a_start_fails_those_told_of_it_are_told_of_its_end() -> None:
    plugins, told = three("starting")
    with pytest.raises(PluginError):
        plugins.engine_starting(View())
    assert told == ["a starting", "b starting", "a stopped"]


def test_every_plugin_hears_of_the_stop_though_one_fails() -> None:
    plugins, told = three("stopped")
    with pytest.raises(PluginError, match="plugin 'b' failed in aion_engine_stopped"):
        plugins.engine_stopped(View())
    assert told == ["c stopped", "b stopped", "a stopped"]


def test_a_configuration_error_at_the_stop_is_one_of_the_plugin() -> None:
    def stopped(engine: EngineView) -> None:
        raise ConfigError("no endpoint")

    with pytest.raises(PluginError, match=r"plugin 'a' failed in stopped: no endpoint"):
        answering(aion_engine_stopped=stopped).engine_stopped(View())


def test_further_failures_at_the_stop_are_notes_of_the_first() -> None:
    told: list[str] = []
    plugins = manager(Plugin("a", told, "stopped"), Plugin("b", told, "stopped"))
    with pytest.raises(PluginError, match="plugin 'b'") as info:
        plugins.engine_stopped(View())
    assert info.value.__notes__ == [
        "plugin 'a' failed in aion_engine_stopped: a cannot; repair or disable it"
    ]


def test_settings_of_a_plugin_that_is_not_installed_are_answered_by_the_nearest() -> None:
    plugins, _ = three()
    plugins.register(Plugin("otel", []), name="otel")
    with pytest.raises(ConfigError, match=r"the plugin 'otell', .*; did you mean 'otel'\?"):
        plugins.check_settings({"otell": {}})


def test_settings_of_installed_and_of_disabled_plugins_are_accepted() -> None:
    plugins, _ = three()
    plugins.block("a")
    plugins.check_settings({"a": {}, "b": {}})
