"""The catalog: what it finds under which name, what it refuses, and which version it answers."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import aion_runtime as aion
from aion_core.errors import ConfigError, VersionNotLoadedError
from aion_core.events import UNVERSIONED
from aion_core.payloads import PayloadConverter
from aion_runtime.catalog import ResolvedDefinition, VersionPolicy, WorkflowCatalog, call_of
from aion_runtime.versions import content_hash

OTHER = "h1:" + "0" * 32


@aion.activity(aliases=("pay",))
async def charge(amount: int) -> int:
    return amount


@aion.workflow
async def parcel(amount: int) -> int:
    return await charge(amount)


async def helper(amount: int) -> int:
    handle: Any = parcel
    return int(await handle(amount))


@aion.workflow(aliases=("purchase", "buy"))
async def order(amount: int) -> int:
    if amount:
        await order(amount - 1)
    return await helper(amount)


def catalog_of(*given: Any, policy: VersionPolicy = "replay") -> WorkflowCatalog:
    return WorkflowCatalog(given, PayloadConverter(), on_version_mismatch=policy)


def loaded(folder: Path, name: str, text: str) -> ModuleType:
    """A module of its own, of this text."""
    (folder / f"{name}.py").write_text("import aion_runtime as aion\n" + text)
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["order", "purchase", "buy"])
def test_a_workflow_is_found_by_its_name_and_its_aliases(name: str) -> None:
    catalog = catalog_of(order)
    assert name in catalog
    assert catalog(name) is order


def test_an_unknown_type_is_an_error_with_the_known_names() -> None:
    catalog = catalog_of(order)
    assert "cancel" not in catalog
    with pytest.raises(aion.UnknownWorkflowTypeError, match=r"it has: order, parcel\)"):
        catalog("cancel")


def test_workflows_that_given_ones_name_are_found() -> None:
    assert catalog_of(order)("parcel") is parcel


def test_a_definition_may_be_given_twice() -> None:
    assert catalog_of(order, parcel, order)("order") is order


def test_options_of_an_activity_make_no_other_activity(tmp_path: Path) -> None:
    module = loaded(
        tmp_path,
        "patient",
        "@aion.activity\nasync def act() -> None: ...\n"
        "patient = act.options(start_to_close=60)\n"
        "@aion.workflow\nasync def main() -> None:\n    await act()\n    await patient()\n",
    )
    assert "main" in catalog_of(module)


CLASHES = {
    "two names": ("@aion.workflow(name='order')", "two workflows are named 'order'"),
    "alias and name": (
        "@aion.workflow(aliases=('order',))",
        "two workflows are named 'order'",
    ),
    "two aliases": ("@aion.workflow(aliases=('buy',))", "two workflows are named 'buy'"),
}


@pytest.mark.parametrize("case", CLASHES)
def test_two_workflows_of_one_name_are_refused_with_both_files(case: str, tmp_path: Path) -> None:
    decorator, message = CLASHES[case]
    module = loaded(tmp_path, "clashing", f"{decorator}\nasync def main() -> None: ...\n")
    with pytest.raises(ConfigError, match=message) as caught:
        catalog_of(order, module)
    assert f"{__file__}:{order.fn.__code__.co_firstlineno}" in str(caught.value)
    assert f"{tmp_path / 'clashing.py'}:2" in str(caught.value)


@pytest.mark.parametrize("name", ["charge", "pay"])
def test_two_activities_of_one_name_are_refused_with_both_files(name: str, tmp_path: Path) -> None:
    module = loaded(
        tmp_path,
        "paying",
        f"@aion.activity\nasync def {name}() -> None: ...\n"
        f"@aion.workflow\nasync def main() -> None:\n    await {name}()\n",
    )
    with pytest.raises(ConfigError, match=f"two activities are named '{name}'") as caught:
        catalog_of(order, module)
    assert __file__ in str(caught.value)
    assert str(tmp_path / "paying.py") in str(caught.value)


def test_two_workflows_of_one_factory_and_name_are_refused() -> None:
    def make(rate: int) -> Any:
        @aion.workflow
        async def rated() -> int:
            return rate

        return rated

    with pytest.raises(ConfigError, match="two workflows are named 'rated'"):
        catalog_of(make(1), make(2))


def test_a_module_imported_under_two_names_is_no_clash(tmp_path: Path) -> None:
    text = "@aion.workflow\nasync def main() -> None: ...\n"
    module = loaded(tmp_path, "app", text)
    again: dict[str, Any] = {"__name__": "__main__"}
    exec(compile((tmp_path / "app.py").read_text(), str(tmp_path / "app.py"), "exec"), again)
    catalog = catalog_of(module, again["main"])
    assert catalog("main") is module.main
    assert catalog.holds(again["main"])


@pytest.mark.parametrize("spelling", ["./app.py", "link.py"])
def test_a_script_may_be_named_by_another_path_than_its_import(
    spelling: str, tmp_path: Path
) -> None:
    """``python ./app.py``, and a symbolic link to it."""
    module = loaded(tmp_path, "app", "@aion.workflow\nasync def main() -> None: ...\n")
    (tmp_path / "link.py").symlink_to(tmp_path / "app.py")
    path = f"{tmp_path}/{spelling}"
    again: dict[str, Any] = {"__name__": "__main__"}
    exec(compile((tmp_path / "app.py").read_text(), path, "exec"), again)
    assert catalog_of(module, again["main"]).holds(again["main"])


def test_a_definition_that_was_not_given_is_not_held(tmp_path: Path) -> None:
    module = loaded(
        tmp_path, "others", "@aion.workflow(name='order')\nasync def main() -> None: ...\n"
    )
    assert not catalog_of(order).holds(module.main)


def test_the_version_is_the_content_hash() -> None:
    assert catalog_of(order).version_of("buy") == content_hash(order)


def test_under_replay_the_loaded_code_is_answered_for_every_version() -> None:
    catalog = catalog_of(order)
    version = content_hash(order)
    assert catalog.resolve("order", OTHER) == ResolvedDefinition(order, version, changed=True)
    assert catalog.resolve("order", version) == ResolvedDefinition(order, version)


def test_under_replay_an_unversioned_run_does_not_count_as_changed() -> None:
    assert not catalog_of(order).resolve("buy", UNVERSIONED).changed


@pytest.mark.parametrize("version", [OTHER, UNVERSIONED])
def test_under_strict_another_version_is_an_error_with_both(version: str) -> None:
    catalog = catalog_of(order, policy="strict")
    with pytest.raises(VersionNotLoadedError) as caught:
        catalog.resolve("order", version)
    assert (caught.value.wanted, caught.value.loaded) == (version, content_hash(order))


def test_under_strict_the_loaded_version_is_answered() -> None:
    version = content_hash(order)
    resolved = catalog_of(order, policy="strict").resolve("order", version)
    assert resolved == ResolvedDefinition(order, version)


def test_an_unknown_policy_is_refused_with_the_known_ones() -> None:
    policy: Any = "lenient"
    with pytest.raises(ConfigError, match="one of 'replay' and 'strict', not 'lenient'"):
        catalog_of(order, policy=policy)


def test_options_keep_the_aliases_of_an_activity() -> None:
    assert charge.options(key="k").aliases == charge.aliases == ("pay",)


BAD_ALIASES: list[tuple[Any, type[Exception], str]] = [
    ("old", TypeError, r"must be a tuple of names, such as aliases=\('old',\), not 'old'"),
    ((1,), TypeError, "must be text, not 1"),
    (("",), ValueError, "must be non-empty printable text"),
    (("a\nb",), ValueError, "must be non-empty printable text"),
    (("fn",), ValueError, "is the definition's own name"),
]


@pytest.mark.parametrize("decorator", [aion.activity, aion.workflow])
@pytest.mark.parametrize(("aliases", "error", "message"), BAD_ALIASES)
def test_bad_aliases_are_refused_at_decoration(
    decorator: Any, aliases: Any, error: type[Exception], message: str
) -> None:
    async def fn() -> None: ...

    with pytest.raises(error, match=message):
        decorator(aliases=aliases)(fn)


def test_options_for_a_child_are_not_given_to_start() -> None:
    with pytest.raises(aion.WorkflowUsageError, match="workflow_id as an argument of start"):
        call_of(parcel.options(workflow_id="c"), (1,))
