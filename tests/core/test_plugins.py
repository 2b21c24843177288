"""Plugins: found by entry point, named when they are broken, opened by URL."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

import pytest

from aion_core.contracts import StoreProvider
from aion_core.errors import ConfigError, PluginError
from aion_core.hookspecs import hookimpl
from aion_core.plugins import PluginManager
from tests.core import fake_plugin_stores as stores

PLACE = "tests.core.fake_plugin_stores:PROVIDER"


class Plugin:
    """Offers one store."""

    def __init__(self, scheme: str = "fake", provider: StoreProvider | str = PLACE) -> None:
        self._offer = {scheme: provider}

    @hookimpl
    def aion_stores(self) -> Mapping[str, StoreProvider | str]:
        return self._offer


def manager(*plugins: object) -> PluginManager:
    made = PluginManager()
    for number, plugin in enumerate(plugins):
        made.register(plugin, name=f"plugin{number}")
    return made


def installed(folder: Path, module: str, source: str) -> EntryPoint:
    """An entry point of a distribution that is really there."""
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[aion]\n{module} = {module}\n")
    (point,) = PathDistribution(info).entry_points
    return point


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


GOOD = """
from aion_core.hookspecs import hookimpl

@hookimpl
def aion_stores():
    return {"good": "nowhere:at_all"}
"""


def test_a_plugin_is_loaded_from_its_entry_point(folder: Path) -> None:
    plugins = PluginManager()
    plugins.load([installed(folder, "good_plugin", GOOD)])
    assert plugins.stores() == {"good": "nowhere:at_all"}


def test_a_plugin_that_cannot_be_imported_names_its_distribution(folder: Path) -> None:
    point = installed(folder, "broken_plugin", "import no_such_module_anywhere")
    with pytest.raises(PluginError) as info:
        PluginManager().load([point])
    assert "'broken_plugin' (broken_plugin) of broken_plugin 1.2" in str(info.value)
    assert "no_such_module_anywhere" in str(info.value)


def test_a_mistyped_hook_names_distribution_and_the_right_name(folder: Path) -> None:
    point = installed(folder, "typo_plugin", GOOD.replace("aion_stores", "aion_store"))
    with pytest.raises(PluginError) as info:
        PluginManager().load([point])
    assert "of typo_plugin 1.2" in str(info.value)
    assert "did you mean 'aion_stores' instead of 'aion_store'?" in str(info.value)


def test_a_hook_with_unknown_parameters_is_refused(folder: Path) -> None:
    point = installed(folder, "params_plugin", GOOD.replace("aion_stores()", "aion_stores(extra)"))
    with pytest.raises(PluginError, match="extra"):
        PluginManager().load([point])


def test_a_disabled_plugin_is_not_even_imported(folder: Path) -> None:
    point = installed(folder, "disabled_plugin", "raise RuntimeError")
    plugins = PluginManager(disabled=["disabled_plugin"])
    plugins.load([point])
    assert plugins.stores() == {}


def test_a_refused_plugin_leaves_the_others_usable() -> None:
    class Mistyped:
        @hookimpl
        def aion_store(self) -> None: ...

    plugins = PluginManager()
    with pytest.raises(PluginError):
        plugins.register(Mistyped(), name="mistyped")
    plugins.register(Plugin(), name="good")
    assert plugins.stores() == {"fake": PLACE}


def test_a_name_is_given_once() -> None:
    plugins = PluginManager()
    plugins.register(Plugin(), name="same")
    with pytest.raises(PluginError, match="same"):
        plugins.register(Plugin("other"), name="same")


def test_two_managers_have_their_own_plugins() -> None:
    manager(Plugin())
    assert manager().stores() == {}


def test_two_plugins_that_serve_one_scheme_are_both_named() -> None:
    with pytest.raises(PluginError) as info:
        manager(Plugin(), Plugin()).stores()
    assert str(info.value) == (
        "the plugins 'plugin0' and 'plugin1' both serve 'fake:'; disable one of them"
    ) or str(info.value) == (
        "the plugins 'plugin1' and 'plugin0' both serve 'fake:'; disable one of them"
    )


def test_two_installed_plugins_that_serve_one_scheme_name_their_distributions(
    folder: Path,
) -> None:
    plugins = PluginManager()
    plugins.load([installed(folder, "one_plugin", GOOD), installed(folder, "two_plugin", GOOD)])
    with pytest.raises(PluginError) as info:
        plugins.stores()
    assert "one_plugin 1.2" in str(info.value)
    assert "two_plugin 1.2" in str(info.value)


def test_a_plugin_that_fails_to_offer_its_stores_is_named() -> None:
    class Failing:
        @hookimpl
        def aion_stores(self) -> Mapping[str, StoreProvider | str]:
            raise RuntimeError("no disk")

    with pytest.raises(PluginError, match=r"plugin 'plugin0' failed .*: no disk"):
        manager(Failing()).stores()


def test_every_store_is_listed_without_being_imported() -> None:
    plugins = manager(Plugin("a", "nowhere.at.all:STORE"), Plugin("b"))
    assert plugins.stores() == {"a": "nowhere.at.all:STORE", "b": PLACE}


@pytest.mark.parametrize("provider", [PLACE, stores.PROVIDER], ids=["place", "object"])
def test_a_store_is_opened_by_the_scheme_of_its_url(provider: StoreProvider | str) -> None:
    context = manager(Plugin("fake", provider)).open_store("fake://here")
    assert hasattr(context, "__aenter__")


def test_an_unknown_scheme_names_the_installed_ones_and_what_to_install() -> None:
    with pytest.raises(ConfigError) as info:
        manager(Plugin("b"), Plugin("a")).open_store("postgres://db")
    assert str(info.value) == (
        "no installed plugin serves 'postgres:' (installed: a, b); "
        "pip install aion-workflow-store-postgres"
    )


def test_without_any_store_the_error_says_none() -> None:
    with pytest.raises(ConfigError, match="installed: none"):
        manager().open_store("sqlite:///x")


@pytest.mark.parametrize("url", ["", "aion.db", ":memory:", "/tmp/aion.db", "1:2", "a b:c"])
def test_what_is_no_url_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ConfigError, match=r"write for example 'sqlite:///aion\.db'"):
        manager(Plugin()).open_store(url)


@pytest.mark.parametrize(
    "place",
    ["no_such_module:STORE", "tests.core.fake_plugin_stores:NOTHING", "no colon", ":x", ""],
)
def test_a_place_where_nothing_is_names_the_scheme_and_the_place(place: str) -> None:
    with pytest.raises(PluginError) as info:
        manager(Plugin("fake", place)).open_store("fake:")
    assert str(info.value).startswith(f"the store for 'fake:' is not at {place!r}")


def test_a_module_that_fails_when_it_is_imported_is_named(folder: Path) -> None:
    (folder / "failing_store.py").write_text("raise RuntimeError('no driver')")
    with pytest.raises(PluginError, match=r"'failing_store:S': no driver"):
        manager(Plugin("fake", "failing_store:S")).open_store("fake:")


def test_a_place_that_holds_something_else_is_refused() -> None:
    with pytest.raises(PluginError, match="is not a StoreProvider"):
        manager(Plugin("fake", "tests.core.fake_plugin_stores:OTHER")).open_store("fake:")
