"""Parts by name: made by the factory that the configuration chooses, refused by the kind."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from aion_core.contracts import SeamContext
from aion_core.errors import ConfigError, PluginError
from aion_core.hookspecs import hookimpl
from aion_core.plugins import KINDS, PluginManager
from aion_core.plugins.kinds import CODEC, EXECUTOR, STORE
from tests.plugins.parts import Codec, Driver, Executor, Offering, Seam, context

CLASSES = {"executor": Executor, "recovery driver": Driver, "recovery seam": Seam}
each_part = pytest.mark.parametrize("noun", CLASSES)


def manager(**plugins: object) -> PluginManager:
    made = PluginManager()
    for name, plugin in plugins.items():
        made.register(plugin, name=name)
    return made


def make(plugins: PluginManager, noun: str, name: str, given: SeamContext | None = None) -> Any:
    method = getattr(plugins, noun.replace(" ", "_"))
    return method(name, given or context())


def offering(factory: object) -> object:
    """A plugin that offers one executor."""

    class Plugin:
        @hookimpl
        def aion_live_executors(self) -> Mapping[str, object]:
            return {"mine": factory}

    return Plugin()


@each_part
def test_a_part_is_made_by_the_factory_of_its_name(noun: str) -> None:
    assert type(make(manager(a=Offering()), noun, "mine")) is CLASSES[noun]


@each_part
def test_a_factory_gets_the_context_with_the_settings_of_its_plugin(noun: str) -> None:
    given = context(a={"key": 1}, b={"key": 2})
    part = make(manager(a=Offering(), b=Offering("other")), noun, "mine", given)
    assert part.context == attrs.evolve(given, settings={"key": 1})


@each_part
def test_a_part_without_settings_gets_none(noun: str) -> None:
    assert make(manager(a=Offering()), noun, "mine").context.settings == {}


@each_part
def test_a_name_that_two_plugins_claim_names_both_and_the_ways_to_choose(noun: str) -> None:
    with pytest.raises(PluginError) as info:
        make(manager(a=Offering(), b=Offering()), noun, "mine")
    assert str(info.value) == (
        f"the plugins 'a' and 'b' both offer the {noun} 'mine'; choose 'a:mine' or 'b:mine', "
        "or disable one of them"
    )


@each_part
def test_the_configuration_picks_one_of_two_plugins_that_claim_a_name(noun: str) -> None:
    plugins = manager(a=Offering(), b=Offering())
    given = context(a={"from": "a"}, b={"from": "b"})
    assert make(plugins, noun, "b:mine", given).context.settings == {"from": "b"}


def test_a_claim_on_a_name_that_nobody_chose_harms_nothing() -> None:
    plugins = manager(a=Offering(), b=Offering(), c=Offering("other"))
    assert type(make(plugins, "executor", "other")) is Executor


@each_part
def test_an_unknown_name_lists_the_installed_ones_and_the_nearest(noun: str) -> None:
    with pytest.raises(ConfigError) as info:
        make(manager(a=Offering("local"), b=Offering("remote")), noun, "locla")
    assert str(info.value) == (
        f"no installed plugin offers the {noun} 'locla' (installed: local, remote); "
        "did you mean 'local'?"
    )


def test_a_name_that_is_like_no_other_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"\(installed: none\); install the plugin that does"):
        make(manager(), "executor", "xyz")


def test_an_unknown_plugin_before_a_name_is_answered_by_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'alpha:mine'"):
        make(manager(alpha=Offering()), "executor", "aplha:mine")


def test_payload_codecs_are_made_in_the_order_of_their_names() -> None:
    plugins = manager(a=Offering("zip"), b=Offering("seal"))
    made = plugins.payload_codecs(["seal", "zip"], {"a": {"level": 9}, "b": {"key": "k"}})
    assert [codec.settings for codec in made if isinstance(codec, Codec)] == [
        {"key": "k"},
        {"level": 9},
    ]


def test_without_codecs_configured_nobody_is_asked() -> None:
    class Failing:
        @hookimpl
        def aion_payload_codecs(self) -> Mapping[str, object]:
            raise RuntimeError

    assert manager(a=Failing()).payload_codecs([], {}) == []


def test_a_factory_may_be_given_as_its_place() -> None:
    plugins = manager(a=offering("tests.plugins.parts:Executor"))
    assert type(plugins.executor("mine", context())).__name__ == "Executor"


@pytest.mark.parametrize(
    "place", ["no_such_module:Executor", "tests.plugins.parts:Nothing", "no colon"]
)
def test_a_place_where_no_factory_is_names_the_plugin_and_the_place(place: str) -> None:
    with pytest.raises(PluginError) as info:
        manager(a=offering(place)).executor("mine", context())
    assert str(info.value).startswith(
        f"plugin 'a' offers the executor 'mine', which is not at {place!r}: "
    )


def test_a_place_whose_module_exits_names_the_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "exiting_part.py").write_text("raise SystemExit('good bye')")
    with pytest.raises(PluginError, match=r"plugin 'a' .*it called sys\.exit\('good bye'\)"):
        manager(a=offering("exiting_part:Executor")).executor("mine", context())


def test_what_is_no_factory_is_refused() -> None:
    with pytest.raises(PluginError, match="the executor 'mine' of plugin 'a' is a int, not a fact"):
        manager(a=offering(3)).executor("mine", context())


@pytest.mark.parametrize(("made", "shown"), [(None, "None"), ("text", "a str")])
def test_a_factory_that_makes_something_else_is_refused(made: object, shown: str) -> None:
    with pytest.raises(PluginError) as info:
        manager(a=offering(lambda context: made)).executor("mine", context())
    assert str(info.value) == (
        f"the executor 'mine' of plugin 'a' is {shown}, not a LiveExecutor; repair or disable it"
    )


def failing(error: BaseException) -> Callable[[SeamContext], Executor]:
    def factory(context: SeamContext) -> Executor:
        raise error

    return factory


def test_a_factory_that_raises_names_the_plugin() -> None:
    with pytest.raises(PluginError, match="plugin 'a' failed to make the executor 'mine': no net"):
        manager(a=offering(failing(OSError("no net")))).executor("mine", context())


def test_a_factory_that_refuses_its_settings_names_the_plugin_as_a_configuration_error() -> None:
    error = ConfigError("endpoint is missing; set it")
    with pytest.raises(ConfigError, match=r"plugin 'a' .*: endpoint is missing; set it"):
        manager(a=offering(failing(error))).executor("mine", context())


def test_ctrl_c_in_a_factory_is_not_the_plugins_doing() -> None:
    with pytest.raises(KeyboardInterrupt):
        manager(a=offering(failing(KeyboardInterrupt()))).executor("mine", context())


def test_settings_that_are_no_table_name_the_plugin() -> None:
    with pytest.raises(ConfigError, match=r"settings of plugin 'a' are a str, not a table"):
        manager(a=Offering()).executor("mine", context(a="text"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
@pytest.mark.parametrize("answer", [["mine"], None, {1: "x"}], ids=["list", "none", "no-names"])
def test_a_provider_hook_that_answers_no_mapping_from_names_is_refused(
    kind: Any, answer: object
) -> None:
    plugin = type("Plugin", (), {kind.hook: staticmethod(hookimpl(lambda: answer))})
    with pytest.raises(PluginError, match=rf"plugin 'a' answers {kind.hook} by a "):
        manager(a=plugin()).provider(kind, "mine:" if kind is STORE else "mine")


def test_the_provider_of_a_name_is_told_without_making_the_part() -> None:
    plugins = manager(a=offering("no_such_module:Executor"), b=Offering("other"))
    assert plugins.provider(EXECUTOR, "mine").name == "a"
    assert plugins.provider(CODEC, "other").name == "b"
