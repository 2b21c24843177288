"""What changes the version of a workflow, and what does not."""

from __future__ import annotations

import importlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aion_core.events import UNVERSIONED
from aion_runtime.hashing.packages import SourceReader
from aion_runtime.versions import WorkflowCode, content_hash, parse_version, workflow_code

GOLDEN = Path(__file__).parent / "content_hashes"
HEAD = "import aion_runtime as aion\n"
MAIN = "@aion.workflow\nasync def main(n: int) -> int:\n"

Read = Callable[..., WorkflowCode]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write some files, import a module of them, and read the code of a workflow in it."""
    count = 0

    def written(files: dict[str, str], module: str = "shop.flows", name: str = "main") -> Any:
        nonlocal count
        count += 1
        # A folder for each, or Python would take the byte code of the former one.
        folder = tmp_path / str(count)
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        before = set(sys.modules)
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        try:
            definition = getattr(importlib.import_module(module), name)
            return workflow_code(definition, SourceReader())
        finally:
            sys.path.remove(str(folder))
            for each in set(sys.modules) - before:
                del sys.modules[each]

    return written


def package(flows: str, **modules: str) -> dict[str, str]:
    """A package `shop` with a module `flows`."""
    files = {f"shop/{name}.py": text for name, text in modules.items()}
    return {"shop/__init__.py": "", "shop/flows.py": HEAD + flows, **files}


def differs(read: Read, one: dict[str, str], other: dict[str, str], **at: str) -> bool:
    first, second = read(one, **at).version, read(other, **at).version
    assert first.startswith("h1:")
    assert second.startswith("h1:")
    return first != second


def test_comments_layout_and_quotes_do_not_count(read: Read) -> None:
    plain = package(MAIN + "    return [n, 'a', 1000][0]\n")
    laid_out = package(
        "# A comment.\n\n"
        "@aion.workflow  # another\nasync def main(\n    n: int,\n) -> int:\n\n"
        '    return (  # why\n        [n, "a", 1_000,][0]\n    )\n'
    )
    assert not differs(read, plain, laid_out)


def test_docstrings_and_idle_statements_do_not_count(read: Read) -> None:
    plain = package(MAIN + "    return n\n")
    talkative = package('"""Module."""\n' + MAIN + '    """Doc."""\n    pass\n    return n\n')
    assert not differs(read, plain, talkative)


def test_code_that_the_workflow_does_not_name_does_not_count(read: Read) -> None:
    plain = package(MAIN + "    return n\n")
    assert not differs(
        read, plain, package("def other() -> int:\n    return 1\n\n" + MAIN + "    return n\n")
    )


def test_the_body_counts(read: Read) -> None:
    assert differs(read, package(MAIN + "    return n\n"), package(MAIN + "    return n + 1\n"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("THING = 1\n", "THING = 2\n", id="constant"),
        pytest.param("THING: tuple = (1, 'a')\n", "THING: tuple = (1, 'b')\n", id="literal"),
        pytest.param("A, THING = 1, 2\n", "A, THING = 2, 1\n", id="unpacked"),
        pytest.param("B = 1\nTHING = B\n", "B = 2\nTHING = B\n", id="constant behind a constant"),
        pytest.param("def THING(): return 1\n", "def THING(): return 2\n", id="function"),
        pytest.param(
            "B = 1\ndef THING(x=B): return x\n", "B = 2\ndef THING(x=B): return x\n", id="default"
        ),
        pytest.param(
            "class THING:\n    def f(self): return 1\n",
            "class THING:\n    def f(self): return 2\n",
            id="method",
        ),
        pytest.param(
            "class B: x = 1\nclass THING(B): pass\n",
            "class B: x = 2\nclass THING(B): pass\n",
            id="base class",
        ),
        pytest.param(
            "def deco(f): return f\n@deco\ndef THING(): pass\n",
            "def deco(f): return 1\n@deco\ndef THING(): pass\n",
            id="decorator",
        ),
        pytest.param(
            "if 0:\n    THING = 1\nelse:\n    THING = 2\n",
            "if 0:\n    THING = 1\nelse:\n    THING = 3\n",
            id="one of two branches",
        ),
        pytest.param(
            "from math import pi as THING\n", "from math import e as THING\n", id="import"
        ),
    ],
)
def test_what_the_workflow_names_counts(read: Read, one: str, other: str) -> None:
    body = MAIN + "    print(THING)\n    return n\n"
    assert differs(read, package(one + body), package(other + body))


@pytest.mark.parametrize(
    ("imports", "use"),
    [
        ("from shop import helpers", "helpers.f"),
        ("from . import helpers", "helpers.f"),
        ("import shop.helpers", "shop.helpers.f"),
        ("import shop.helpers as h", "h.f"),
        ("from shop.helpers import f as g", "g"),
        ("from .helpers import f", "f"),
        ("from .helpers import *", "f"),
        ("from shop import again", "again.f"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .helpers import f", "f"),
    ],
)
def test_functions_of_sibling_modules_count(read: Read, imports: str, use: str) -> None:
    flows = f"{imports}\n{MAIN}    print({use})\n    return n\n"
    again = "from shop.helpers import f as f\n"
    one = package(flows, helpers="def f(): return 1\n", again=again)
    other = package(flows, helpers="def f(): return 2\n", again=again)
    assert differs(read, one, other)


def test_functions_that_the_workflow_imports_itself_count(read: Read) -> None:
    flows = MAIN + "    from .helpers import f\n    return f()\n"
    one = package(flows, helpers="def f(): return 1\n")
    assert differs(read, one, package(flows, helpers="def f(): return 2\n"))


def test_modules_of_a_package_without_init_count(read: Read) -> None:
    flows = f"from shop import helpers\n{MAIN}    return helpers.f()\n"
    one = package(flows, helpers="def f(): return 1\n")
    other = package(flows, helpers="def f(): return 2\n")
    del one["shop/__init__.py"], other["shop/__init__.py"]
    assert differs(read, one, other)


def test_code_of_other_packages_does_not_count(read: Read) -> None:
    flows = f"import vendor\nfrom vendor import f\n{MAIN}    return f() + vendor.f()\n"
    one = package(flows) | {"vendor.py": "def f(): return 1\n"}
    assert not differs(read, one, package(flows) | {"vendor.py": "def f(): return 2\n"})


def test_a_local_name_hides_one_of_the_module(read: Read) -> None:
    body = "    for hidden in [1]:\n        print(hidden)\n    return [n for seen in [2]][0]\n"
    one = package("hidden = 1\nseen = 1\n" + MAIN + body)
    assert not differs(read, one, package("hidden = 2\nseen = 2\n" + MAIN + body))


def test_a_class_named_only_in_a_quoted_annotation_counts(read: Read) -> None:
    body = MAIN + "    thing: 'Thing | None' = None\n    return n\n"
    assert differs(
        read, package("class Thing: x = 1\n" + body), package("class Thing: x = 2\n" + body)
    )


ACTIVITY = "@aion.activity\nasync def {name}(n: int) -> int:\n    return {value}\n"
CALL = MAIN + "    return await {name}.options(key='k')(n)\n"


def test_the_body_of_an_activity_does_not_count(read: Read) -> None:
    one = package(ACTIVITY.format(name="act", value=1) + CALL.format(name="act"))
    assert not differs(
        read, one, package(ACTIVITY.format(name="act", value=2) + CALL.format(name="act"))
    )


def test_the_type_of_an_activity_counts(read: Read) -> None:
    text = ACTIVITY.format(name="act", value=1) + CALL.format(name="act")
    renamed = text.replace("@aion.activity", "@aion.activity(name='other')")
    assert differs(read, package(text), package(renamed))


def test_the_type_of_an_activity_of_another_package_counts(read: Read) -> None:
    flows = "from vendor import act\n" + CALL.format(name="act")
    text = HEAD + ACTIVITY.format(name="act", value=1)
    renamed = text.replace("@aion.activity", "@aion.activity(name='other')")
    assert differs(
        read, package(flows) | {"vendor.py": text}, package(flows) | {"vendor.py": renamed}
    )


def test_an_activity_counts_the_same_whether_its_module_is_loaded_or_not(read: Read) -> None:
    late = MAIN + "    from .acts import act\n    return await act(n)\n"
    acts = HEAD + ACTIVITY.format(name="act", value=1)
    assert not differs(
        read, package(late, acts=acts), package("import shop.acts\n" + late, acts=acts)
    )


def test_the_body_of_a_child_workflow_does_not_count(read: Read) -> None:
    child = "@aion.workflow\nasync def child(n: int) -> int:\n    return {}\n"
    call = MAIN + "    return await child(n)\n"
    assert not differs(read, package(child.format(1) + call), package(child.format(2) + call))


def test_activities_and_children_are_told_in_the_order_of_the_source(read: Read) -> None:
    flows = (
        "".join(ACTIVITY.format(name=name, value=1) for name in "abc")
        + "@aion.workflow\nasync def child(n: int) -> int:\n    return 1\n"
        + "async def helper(): return await b(1)\n"
        + MAIN
        + "    await c(n), await helper(), await child(n)\n    return await a(n)\n"
    )
    code = read(package(flows))
    assert [each.name for each in code.activities] == ["c", "a", "b"]
    assert [each.name for each in code.workflows] == ["child"]


def test_how_the_workflow_is_called_does_not_count(read: Read) -> None:
    one = package(MAIN + "    return n\n")
    renamed = MAIN.replace("main", "other").replace(
        "@aion.workflow", "@aion.workflow(name='main', aliases=('old',), accepts=[])"
    )
    other = package(renamed + "    return n\n\nmain = other\n")
    assert not differs(read, one, other)


def test_a_module_that_moved_within_its_package_keeps_its_hash(read: Read) -> None:
    helpers = "def f(): return 1\n"
    before = package(f"from .helpers import f\n{MAIN}    return f()\n", helpers=helpers)
    after = {
        "shop/__init__.py": "",
        "shop/deep/__init__.py": "",
        "shop/deep/moved.py": f"{HEAD}from ..helpers import f\n{MAIN}    return f()\n",
        "shop/helpers.py": helpers,
    }
    assert read(before).version == read(after, module="shop.deep.moved").version


def test_values_from_around_a_workflow_count(read: Read) -> None:
    flows = (
        "def make(step, rate):\n    base = {base}\n"
        "    @aion.workflow\n    async def main(n: int) -> int:\n"
        "        return step(n) * rate + base\n    return main\n"
        "def one(n): return 1\ndef two(n): return 2\n"
        "main = make({step}, {rate})\n"
    )
    versions = {
        read(package(flows.format(base=base, step=step, rate=rate))).version
        for base in (1, 2)
        for step in ("one", "two")
        for rate in (1, 2)
    }
    assert len(versions) == 8


def test_definitions_that_name_each_other_have_a_hash(read: Read) -> None:
    flows = "def a(n): return b(n)\ndef b(n): return a(n)\n" + MAIN + "    return a(n) + {}\n"
    assert differs(read, package(flows.format(1)), package(flows.format(2)))


def test_names_that_modules_import_from_each_other_have_a_hash(read: Read) -> None:
    # Nothing binds `x`, and following the imports would never end.
    flows = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .other import x\n"
    other = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .flows import x\n"
    code = read(package(flows + MAIN + "    return f()\n\ndef f(): return x\n", other=other))
    assert code.version.startswith("h1:")


def test_deeply_nested_code_has_a_hash(read: Read) -> None:
    chain = " + ".join(["n"] * 1200)
    assert read(package(f"{MAIN}    return f(n)\n\ndef f(n): return {chain}\n")).version


SCRIPT = """\
import aion_runtime as aion
{imports}

RATE = 2


@aion.activity
async def act(n: int) -> int:
    return n


@aion.workflow
async def main(n: int) -> int:
    return await act(f(n) * RATE)


if __name__ == "__main__":
    from aion_runtime.versions import content_hash
    print(content_hash(main))
"""


def printed(folder: Path, *args: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    done = subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_script_has_the_hash_that_its_module_has(tmp_path: Path, read: Read) -> None:
    script = SCRIPT.format(imports="def f(n: int) -> int: return n")
    (tmp_path / "app.py").write_text(script)
    version = read({"app.py": script}, module="app").version
    assert [printed(tmp_path, "app.py"), printed(tmp_path, "-m", "app")] == [version] * 2


def test_a_script_in_a_package_has_the_hash_that_its_module_has(tmp_path: Path, read: Read) -> None:
    files = {
        "shop/__init__.py": "",
        "shop/app.py": SCRIPT.format(imports="from shop.helpers import f"),
        "shop/helpers.py": "def f(n: int) -> int: return n\n",
    }
    (tmp_path / "shop").mkdir()
    for path, text in files.items():
        (tmp_path / path).write_text(text)
    version = read(files, module="shop.app").version
    runs = [printed(tmp_path, "shop/app.py"), printed(tmp_path, "-m", "shop.app")]
    assert runs == [version] * 2


def golden_sample(name: str) -> dict[str, str]:
    text = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    files = (part.partition("\n") for part in text.split("=== ")[1:])
    return {path: source for path, _, source in files}


HASHES: dict[str, list[str]] = json.loads((GOLDEN / "hashes.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", HASHES)
def test_golden_hashes_are_the_same_on_every_python(read: Read, name: str) -> None:
    module, version = HASHES[name]
    assert read(golden_sample(name), module=module).version == version


def test_code_without_source_is_unversioned_and_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    namespace: dict[str, Any] = {"__name__": "nowhere"}
    exec(HEAD + MAIN + "    return n\n", namespace)
    with caplog.at_level(logging.WARNING, "aion_runtime"):
        versions = [content_hash(namespace["main"]) for _ in range(2)]
    assert versions == [UNVERSIONED] * 2
    assert [record.args[0] for record in caplog.records] == ["main"]  # type: ignore[index]


@pytest.mark.parametrize("text", [UNVERSIONED, "h1:" + "0a" * 16, "h12:" + "0" * 32])
def test_versions_are_parsed(text: str) -> None:
    assert parse_version(text) == text


@pytest.mark.parametrize("text", ["", "1.0", "h1:", "h0:" + "0" * 32, "h1:" + "A" * 32, "h1:0\n"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no version of a workflow"):
        parse_version(text)
