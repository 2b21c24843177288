"""The repository keeps its own rules: members complete, one version, nothing of one machine."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = sorted(
    path.parent
    for pattern in ("aion_*", "plugins/*")
    for path in ROOT.glob(f"{pattern}/pyproject.toml")
)
each_member = pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)


def _project(member: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    return project


def _tracked_files() -> Iterator[Path]:
    """What git knows or is about to know; in an unpacked archive, what lies there."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listing.returncode == 0:
        paths = (ROOT / name.decode() for name in listing.stdout.split(b"\0") if name)
    else:
        hidden = re.compile(r"(^|/)(\.(?!ci/|gitignore$)|__pycache__/)")
        paths = (p for p in ROOT.rglob("*") if not hidden.search(p.relative_to(ROOT).as_posix()))
    yield from (path for path in paths if path.is_file())


def test_there_are_members() -> None:
    names = {member.name for member in MEMBERS}
    assert names >= {"aion_cli", "aion_core", "aion_runtime", "aion_store_memory"}


@each_member
def test_a_member_has_readme_licence_and_type_marker(member: Path) -> None:
    assert (member / "README.md").read_text().startswith(f"# {_project(member)['name']}\n")
    assert (member / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (member / "src" / member.name / "py.typed").is_file()


@each_member
def test_a_member_carries_the_one_version_and_pins_its_siblings_to_it(member: Path) -> None:
    project = _project(member)
    versions = {_project(other)["version"] for other in MEMBERS}
    assert versions == {project["version"]}
    siblings = {_project(other)["name"] for other in MEMBERS}
    extras = project.get("optional-dependencies", {})
    for requirement in [*project["dependencies"], *(r for extra in extras.values() for r in extra)]:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        if name.startswith("aion"):
            assert name in siblings
            assert re.sub(r"\[\w+\]", "", requirement) == f"{name}=={project['version']}"


@each_member
def test_a_member_has_no_module_outside_src(member: Path) -> None:
    """So an uninstalled member offers nothing to who imports it from the root."""
    outside = [
        path
        for path in member.rglob("*.py")
        if path.relative_to(member).parts[0] not in ("src", "tests")
    ]
    assert outside == []


@each_member
def test_a_member_is_installed_and_not_an_empty_namespace_of_the_root(member: Path) -> None:
    """From the root, `import aion_core` finds the folder too: it must lose against the package."""
    code = f"import {member.name}; print({member.name}.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.stdout.strip() == str(member / "src" / member.name / "__init__.py"), found.stderr
    assert metadata.version(_project(member)["name"]) == _project(member)["version"]


def test_no_uv_lock_is_tracked() -> None:
    """It names the registry it was made with."""
    assert [path for path in _tracked_files() if path.name == "uv.lock"] == []


def test_no_tracked_file_names_a_registry_host_or_a_path_of_one_machine() -> None:
    host = "|".join(re.escape(name) for name in ("py" + "pi.org", "python" + "hosted.org"))
    local = re.compile(rf"{host}|(?<![\w./-])/(?:work|root|home|Users)/\w")
    found = []
    for path in _tracked_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = enumerate(text.splitlines(), start=1)
        name = path.relative_to(ROOT)
        found += [f"{name}:{number}: {line}" for number, line in lines if local.search(line)]
    assert found == []
