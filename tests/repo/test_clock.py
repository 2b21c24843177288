"""The runtime and the stores read the time through `Clock` alone: so a test can move it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("aion_runtime", "aion_store_memory", "aion_store_sqlite", "plugins/aion_store_example")
MODULES = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder / "src").rglob("*.py")
    if path != ROOT / "aion_runtime/src/aion_runtime/clock.py"
)

CLOCKS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
    | {"sleep", "localtime", "gmtime", "clock_gettime", "process_time"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "trio": {"current_time", "sleep", "sleep_until"}
    | {"move_on_after", "move_on_at", "fail_after", "fail_at"},
}
"""What asks for the time, or lets it pass, by the name of the module or class."""

DEADLINES = {"deadline", "relative_deadline"}
"""Of trio's scopes: they pass by trio's clock."""

BY_REAL_TIME = {
    # How long the operator waits for running activities, whatever time their workflows are in.
    ("aion_runtime/src/aion_runtime/hosting.py", "self._grace.relative_deadline ="),
}


def uses_of_time(tree: ast.AST) -> set[str]:
    """Each mention of a clock, as it is written."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                if name in CLOCKS.get(owner, ()):
                    found.add(f"{owner}.{name}")
            case ast.Attribute(attr=name, ctx=ast.Store()) if name in DEADLINES:
                found.add(f"{ast.unparse(node)} =")
            case ast.Attribute(value=ast.Attribute(attr=owner), attr=name):
                if name in CLOCKS.get(owner, ()):
                    found.add(f"{owner}.{name}")
            case ast.ImportFrom(module=module, names=names):
                for each in names:
                    if each.name in CLOCKS.get(module or "", ()):
                        found.add(f"{module}.{each.name}")
            case ast.Call(func=ast.Name("CancelScope") | ast.Attribute(attr="CancelScope")):
                if DEADLINES & {keyword.arg for keyword in node.keywords}:
                    found.add("CancelScope(deadline)")
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_reads_the_time_past_the_clock(module: Path) -> None:
    name = module.relative_to(ROOT).as_posix()
    allowed = {use for path, use in BY_REAL_TIME if path == name}
    assert uses_of_time(ast.parse(module.read_text(encoding="utf-8"))) <= allowed


def test_the_exceptions_are_still_needed() -> None:
    for name, use in BY_REAL_TIME:
        assert use in uses_of_time(ast.parse((ROOT / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "line",
    [
        "time.monotonic()",
        "from time import perf_counter",
        "datetime.now(UTC)",
        "datetime.datetime.now(UTC)",
        "await trio.sleep(1)",
        "from trio import sleep",
        "with trio.move_on_after(1): pass",
        "trio.CancelScope(relative_deadline=3)",
        "self.scope.deadline = 3",
    ],
)
def test_every_way_to_read_the_time_is_seen(line: str) -> None:
    code = f"async def f():\n    {line}"
    assert uses_of_time(ast.parse(code))
