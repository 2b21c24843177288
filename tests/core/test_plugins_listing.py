"""The list of plugins: all of them, whatever their state, and nothing imported for it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from aion_core import hookspecs
from aion_core.hookspecs import hookimpl
from aion_core.plugins import Origin, PluginInfo, PluginManager
from tests.plugins.distributions import distribution
from tests.plugins.parts import Offering

SOURCE = """
from aion_core.hookspecs import hookimpl

@hookimpl
def aion_stores():
    return {"one": "nowhere:at_all", "another": "nowhere:else"}

@hookimpl
def aion_engine_stopped(engine): ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def origin(name: str) -> Origin:
    return Origin(name=name, distribution=name, version="1.2", entry_point=name)


def test_a_plugin_is_listed_with_its_origin_hooks_and_offers(folder: Path) -> None:
    plugins = PluginManager()
    plugins.load([distribution(folder, "listed_plugin", SOURCE)])
    assert plugins.listing() == (
        PluginInfo(
            origin=origin("listed_plugin"),
            hooks=("aion_engine_stopped", "aion_stores"),
            offers={"store": ("another", "one")},
        ),
    )


def test_every_kind_of_part_is_listed() -> None:
    plugins = PluginManager()
    plugins.register(Offering("x"), name="all")
    (info,) = plugins.listing()
    nouns = ("executor", "recovery driver", "recovery seam", "payload codec")
    assert info.offers == dict.fromkeys(nouns, ("x",))


def test_a_disabled_plugin_is_listed_though_not_imported(folder: Path) -> None:
    plugins = PluginManager(disabled=["passed_over"])
    plugins.load([distribution(folder, "passed_over", "raise RuntimeError")])
    assert plugins.listing() == (PluginInfo(origin=origin("passed_over"), disabled=True),)


def test_a_blocked_plugin_is_listed_as_disabled() -> None:
    plugins = PluginManager()
    plugins.register(Offering(), name="a")
    plugins.block("a")
    assert plugins.listing() == (PluginInfo(origin=Origin(name="a"), disabled=True),)


def test_a_broken_plugin_is_listed_with_its_error(folder: Path) -> None:
    plugins = PluginManager()
    plugins.load([distribution(folder, "listed_broken", "1 / 0")], tolerant=True)
    (info,) = plugins.listing()
    assert info.origin == origin("listed_broken")
    assert info.error == (
        "plugin 'listed_broken' (listed_broken) of listed_broken 1.2 cannot be imported: "
        "division by zero; repair or uninstall that distribution"
    )


def test_a_plugin_that_fails_to_say_what_it_offers_is_listed_with_its_error() -> None:
    class Failing:
        @hookimpl
        def aion_live_executors(self) -> Mapping[str, object]:
            raise RuntimeError("no disk")

    plugins = PluginManager()
    plugins.register(Failing(), name="failing")
    plugins.register(Offering(), name="good")
    failing, good = plugins.listing()
    assert failing.error == (
        "plugin 'failing' failed in aion_live_executors: no disk; repair or disable it"
    )
    assert good.error is None


def test_plugins_are_listed_in_the_order_of_names() -> None:
    plugins = PluginManager()
    for name in "bca":
        plugins.register(Offering(), name=name)
    assert [info.origin.name for info in plugins.listing()] == ["a", "b", "c"]


@pytest.mark.parametrize("hook", [name for name in hookspecs.__all__ if name.startswith("aion_")])
def test_a_specification_ends_by_saying_when_it_is_called(hook: str) -> None:
    text = getattr(hookspecs, hook).__doc__
    *_, last = text.strip().split("\n\n")
    assert last.strip().startswith("When it is called: ")
