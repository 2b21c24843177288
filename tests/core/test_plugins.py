"""Plugins: found by entry point, named when they are broken, opened by URL."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType

import pytest

from aion_core.contracts import EventStore, StoreProvider
from aion_core.errors import ConfigError, PluginError
from aion_core.hookspecs import hookimpl, hookspec
from aion_core.plugins import PluginManager
from aion_core.plugins.kinds import EXECUTOR, STORE, Kind
from tests.core import fake_plugin_stores as stores
from tests.plugins.distributions import distribution

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
    plugins.load([distribution(folder, "good_plugin", GOOD)])
    assert plugins.stores() == {"good": "nowhere:at_all"}


def test_a_plugin_that_cannot_be_imported_names_its_distribution(folder: Path) -> None:
    point = distribution(folder, "broken_plugin", "import no_such_module_anywhere")
    with pytest.raises(PluginError) as info:
        PluginManager().load([point])
    assert "'broken_plugin' (broken_plugin) of broken_plugin 1.2" in str(info.value)
    assert "no_such_module_anywhere" in str(info.value)


def test_a_plugin_that_exits_when_it_is_imported_is_an_error_like_any_other(folder: Path) -> None:
    point = distribution(folder, "exiting_plugin", "import sys; sys.exit(4)")
    with pytest.raises(PluginError, match=r"of exiting_plugin 1\.2 .*it called sys\.exit\(4\)"):
        PluginManager().load([point])


def test_a_broken_plugin_does_not_keep_a_tolerant_manager_from_the_others(folder: Path) -> None:
    plugins = PluginManager()
    broken = distribution(folder, "a_broken_plugin", "raise RuntimeError")
    plugins.load([broken, distribution(folder, "good_plugin", GOOD)], tolerant=True)
    assert plugins.stores() == {"good": "nowhere:at_all"}


def test_a_hook_of_nobody_is_refused_with_the_way_to_make_it_optional(folder: Path) -> None:
    source = GOOD.replace("aion_stores", "aion_dashboard_pages")
    with pytest.raises(PluginError, match=r"mark it hookimpl\(optionalhook=True\)"):
        PluginManager().load([distribution(folder, "page_plugin", source)])


def test_an_optional_hook_of_nobody_is_passed_over(folder: Path) -> None:
    source = GOOD + "\n@hookimpl(optionalhook=True)\ndef aion_cli_commands(cli): ...\n"
    plugins = PluginManager()
    plugins.load([distribution(folder, "optional_plugin", source)])
    assert plugins.stores() == {"good": "nowhere:at_all"}


def test_a_hook_that_another_package_specifies_is_heard_once_it_is_added() -> None:
    class Contributor:
        @hookimpl(optionalhook=True)
        def aion_extra(self, value: int) -> int:
            return value + 1

    extra = ModuleType("extra")
    extra.aion_extra = hookspec(lambda value: None)  # type: ignore[attr-defined]
    plugins = manager(Contributor())
    plugins.add_hookspecs(extra)
    assert [answer for _, answer in plugins.contributions("aion_extra", value=1)] == [2]


def test_a_plugin_that_implements_an_added_hook_wrongly_is_named() -> None:
    class Contributor:
        @hookimpl(optionalhook=True)
        def aion_extra(self, other: int) -> None: ...

    extra = ModuleType("extra")
    extra.aion_extra = hookspec(lambda value: None)  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match=r"(?s)plugin 'plugin0': .*other"):
        manager(Contributor()).add_hookspecs(extra)


def test_a_hook_wrapper_is_refused() -> None:
    class Meddler:
        @hookimpl(wrapper=True)
        def aion_stores(self) -> Iterator[None]:
            return (yield)

    with pytest.raises(PluginError, match="'aion_stores' as a wrapper"):
        manager(Meddler())


def test_a_mistyped_hook_names_distribution_and_the_right_name(folder: Path) -> None:
    point = distribution(folder, "typo_plugin", GOOD.replace("aion_stores", "aion_store"))
    with pytest.raises(PluginError) as info:
        PluginManager().load([point])
    assert "of typo_plugin 1.2" in str(info.value)
    assert "did you mean 'aion_stores' instead of 'aion_store'?" in str(info.value)


def test_a_hook_with_unknown_parameters_is_refused(folder: Path) -> None:
    point = distribution(
        folder, "params_plugin", GOOD.replace("aion_stores()", "aion_stores(extra)")
    )
    with pytest.raises(PluginError, match="extra"):
        PluginManager().load([point])


def test_a_disabled_plugin_is_not_even_imported(folder: Path) -> None:
    point = distribution(folder, "disabled_plugin", "raise RuntimeError")
    plugins = PluginManager(disabled=["disabled_plugin"])
    plugins.load([point])
    assert plugins.stores() == {}


def test_the_environment_names_disabled_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AION_DISABLE_PLUGINS", "memory, other,")
    schemes = PluginManager.installed().stores().keys()
    assert {"memory", "sqlite"} & schemes == {"sqlite"}


def test_given_names_of_disabled_plugins_count_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AION_DISABLE_PLUGINS", "memory")
    schemes = PluginManager.installed(disabled=["sqlite"]).stores().keys()
    assert {"memory", "sqlite"} & schemes == {"memory"}


def test_a_slip_of_the_fingers_among_the_disabled_plugins_is_told_with_what_was_meant() -> None:
    plugins = PluginManager.installed(disabled=["sqlit"])
    with pytest.raises(ConfigError, match=r"'sqlit' .* is not installed; did you mean 'sqlite'\?"):
        plugins.check_disabled()


def test_a_disabled_plugin_that_is_installed_elsewhere_changes_nothing() -> None:
    plugins = PluginManager.installed(disabled=["memory", "elsewhere"])
    assert plugins.check_disabled() == ["elsewhere"]
    assert "sqlite" in plugins.stores()


@pytest.mark.parametrize(("kind", "name"), [(STORE, "memory:"), (EXECUTOR, "remote")], ids=str)
def test_what_is_not_there_is_missed_with_the_names_of_disabled_plugins(
    kind: Kind, name: str
) -> None:
    plugins = PluginManager.installed(disabled=["memory", "nobody"])
    with pytest.raises(ConfigError, match=r"disabled plugins: memory\)"):
        plugins.provider(kind, name)


def test_a_blocked_plugin_offers_nothing_more() -> None:
    plugins = manager(Plugin("a"), Plugin("b"))
    plugins.block("plugin0")
    assert plugins.stores() == {"b": PLACE}


def test_a_plugin_that_is_blocked_beforehand_is_not_registered() -> None:
    plugins = PluginManager()
    plugins.block("late")
    plugins.register(Plugin(), name="late")
    assert plugins.stores() == {}


def test_a_plugin_is_named_as_its_module_or_class_when_no_name_is_given() -> None:
    plugins = PluginManager()
    plugins.register(Plugin())
    assert [info.origin.name for info in plugins.listing()] == ["Plugin"]


def test_a_refused_plugin_leaves_the_others_usable() -> None:
    class Mistyped:
        @hookimpl
        def aion_store(self) -> None: ...

    plugins = PluginManager()
    with pytest.raises(PluginError):
        plugins.register(Mistyped(), name="mistyped")
    plugins.register(Plugin(), name="good")
    assert plugins.stores() == {"fake": PLACE}


def test_two_plugins_of_one_name_are_both_named(folder: Path) -> None:
    plugins = PluginManager()
    plugins.register(Plugin(), name="same_plugin")
    with pytest.raises(PluginError) as info:
        plugins.load([distribution(folder, "same_plugin", GOOD)])
    assert str(info.value) == (
        "the plugins 'same_plugin' and 'same_plugin' (same_plugin) of same_plugin 1.2 have the "
        "same name; uninstall one of them, or have one renamed"
    )


def test_a_plugin_without_any_hook_is_refused() -> None:
    with pytest.raises(PluginError, match="it implements no hook"):
        manager(object())


def test_a_hook_that_is_not_marked_is_refused() -> None:
    class Unmarked(Plugin):
        def aion_observers(self) -> list[object]:
            return []

    with pytest.raises(PluginError, match=r"its 'aion_observers' is not marked"):
        manager(Unmarked())


def test_an_async_hook_is_refused() -> None:
    class Async:
        @hookimpl
        async def aion_stores(self) -> dict[str, str]:
            return {}

    with pytest.raises(PluginError, match=r"'aion_stores' as an async function"):
        manager(Async())


def test_two_managers_have_their_own_plugins() -> None:
    manager(Plugin())
    assert manager().stores() == {}


def test_a_scheme_that_two_plugins_serve_is_refused_with_both_ways_to_choose() -> None:
    with pytest.raises(PluginError) as info:
        manager(Plugin(), Plugin()).open_store("fake:")
    assert str(info.value) == (
        "the plugins 'plugin0' and 'plugin1' both offer the store 'fake'; "
        "choose 'plugin0+fake:' or 'plugin1+fake:', or disable one of them"
    )


def test_a_url_may_choose_one_of_two_plugins_that_serve_its_scheme() -> None:
    plugins = manager(Plugin(provider="nowhere:x"), Plugin(provider=stores.PROVIDER))
    assert hasattr(plugins.open_store("plugin1+fake://here"), "__aenter__")


def test_the_store_is_given_the_url_without_its_plugin() -> None:
    urls: list[str] = []

    def opened(url: str) -> AbstractAsyncContextManager[EventStore]:
        urls.append(url)
        return stores.opened(url)

    provider = StoreProvider(open=opened, description="keeps its URLs")
    manager(Plugin(provider=provider)).open_store("plugin0+fake://here?a:b+c")
    assert urls == ["fake://here?a:b+c"]


def test_a_scheme_that_nobody_opens_may_be_served_twice() -> None:
    plugins = manager(Plugin(), Plugin(), Plugin("other"))
    assert hasattr(plugins.open_store("other:"), "__aenter__")


def test_a_url_that_chooses_a_plugin_that_does_not_serve_its_scheme_is_refused() -> None:
    with pytest.raises(ConfigError) as info:
        manager(Plugin()).open_store("wrong+fake:")
    assert str(info.value) == (
        "no installed plugin serves 'wrong+fake:' (installed: fake); "
        "write 'fake:' alone, or name a plugin that serves it"
    )


def test_two_installed_plugins_that_serve_one_scheme_name_their_distributions(
    folder: Path,
) -> None:
    plugins = PluginManager()
    plugins.load(
        [distribution(folder, "one_plugin", GOOD), distribution(folder, "two_plugin", GOOD)]
    )
    with pytest.raises(PluginError) as info:
        plugins.stores()
    assert "one_plugin 1.2" in str(info.value)
    assert "two_plugin 1.2" in str(info.value)


def test_a_plugin_that_fails_to_offer_its_stores_is_named() -> None:
    class Failing:
        @hookimpl
        def aion_stores(self) -> Mapping[str, StoreProvider | str]:
            raise RuntimeError("no disk")

    with pytest.raises(PluginError, match=r"plugin 'plugin0' failed in aion_stores: no disk"):
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


def test_a_mistyped_scheme_is_answered_by_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'postgres'"):
        manager(Plugin("postgres")).open_store("postgers://db")


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
    assert str(info.value).startswith(
        f"plugin 'plugin0' offers the store 'fake', which is not at {place!r}: "
    )


def test_a_module_that_fails_when_it_is_imported_is_named(folder: Path) -> None:
    (folder / "failing_store.py").write_text("raise RuntimeError('no driver')")
    with pytest.raises(PluginError, match=r"'failing_store:S': no driver"):
        manager(Plugin("fake", "failing_store:S")).open_store("fake:")


def test_a_place_that_holds_something_else_is_refused() -> None:
    with pytest.raises(PluginError, match="'fake' of plugin 'plugin0' is a str, not a Store"):
        manager(Plugin("fake", "tests.core.fake_plugin_stores:OTHER")).open_store("fake:")
