"""Parts from an installed plugin, chosen by the configuration: what a third party's wheel can do.

The plugin is built as a wheel and installed into an environment of its own, which has all that this
one has besides. Nothing asks the network.
"""

from __future__ import annotations

import os
import site
import subprocess
import sys
from collections import Counter
from pathlib import Path

import attrs
import pytest

from aion_cli.demo.ledger import read_ledger

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "somebodys-parts"
version = "1.0"

[project.entry-points.aion]
somebody = "somebodys_parts.plugin"

[tool.hatch.build.targets.wheel]
packages = ["somebodys_parts"]
"""

PLUGIN = """
from aion_core.hookspecs import hookimpl


@hookimpl
def aion_live_executors():
    return {"counting": "somebodys_parts.parts:CountingExecutor"}


@hookimpl
def aion_recovery_drivers():
    return {"counting": "somebodys_parts.parts:CountingDriver"}


@hookimpl
def aion_recovery_seams():
    return {"counting": "somebodys_parts.parts:CountingSeam"}
"""

PARTS = """
from aion_core.contracts import ActiveWorkflowRecoverySeam, LiveExecutor, RecoveryDriver
from aion_runtime.executor import LocalExecutor
from aion_runtime.recovery import CatalogSeam, MachineDriver


class Notes:
    def __init__(self, context):
        self.path = context.settings["notes"]

    def write(self, line):
        with open(self.path, "a") as file:
            file.write(line + "\\n")


class CountingExecutor(LiveExecutor):
    def __init__(self, context):
        self.inner = LocalExecutor(context)
        self.notes = Notes(context)

    async def run_activity(self, attempt):
        info = attempt.info
        self.notes.write(f"attempt {info.workflow_id} {info.activity_id} {info.attempt}")
        return await self.inner.run_activity(attempt)

    async def start_timer(self, timer_id, fire_at):
        self.notes.write("timer")

    async def await_signal(self, name, index):
        self.notes.write("signal")

    async def spawn_child(self, workflow_type, input, child_workflow_id):
        self.notes.write("child")


class CountingDriver(RecoveryDriver):
    def __init__(self, context):
        self.inner = MachineDriver(context)
        self.notes = Notes(context)

    def recovery_plan(self, workflow_id, history):
        self.notes.write(f"plan {workflow_id}")
        return self.inner.recovery_plan(workflow_id, history)


class CountingSeam(ActiveWorkflowRecoverySeam):
    def __init__(self, context):
        self.inner = CatalogSeam(context)
        self.notes = Notes(context)

    def recover_active_workflow(self, workflow_id, workflow_type, history, catalog):
        self.notes.write(f"seam {workflow_id}")
        return self.inner.recover_active_workflow(workflow_id, workflow_type, history, catalog)
"""

CONFIGURATION = """
executor = "counting"
recovery_driver = "counting"
recovery_seam = "counting"

[plugin.somebody]
notes = "{notes}"
"""


def succeed(*command: str | Path, cwd: Path) -> str:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("AION_")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environ | {"NO_COLOR": "1", "PIP_NO_INDEX": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of the environment that has the plugin."""
    source = tmp_path_factory.mktemp("plugin")
    package = source / "somebodys_parts"
    package.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT)
    for name, text in (("__init__", ""), ("plugin", PLUGIN), ("parts", PARTS)):
        (package / f"{name}.py").write_text(text)
    pip = (sys.executable, "-m", "pip")
    build = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    succeed(*pip, "wheel", *build, "--wheel-dir", source, source, cwd=source)
    (wheel,) = source.glob("*.whl")
    environment = source / "venv"
    succeed(sys.executable, "-m", "venv", "--without-pip", environment, cwd=source)
    python = environment / "bin" / "python"
    (packages,) = environment.glob("lib/python*/site-packages")
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    (packages / "all_that_we_have.pth").write_text("\n".join(lines))
    install = ("--quiet", "--no-index", "--no-deps", "--no-compile")
    succeed(*pip, "--python", python, "install", *install, wheel, cwd=source)
    return python


@attrs.frozen
class Demo:
    """What is left of a demo, in which engines were killed and opened again.

    Attributes:
        notes: of the plugin's parts, one line for each call.
        executions: by the demo's own ledger, which activities write themselves.
    """

    notes: list[str]
    executions: list[str]


@pytest.fixture(scope="module")
def demo(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    place = tmp_path_factory.mktemp("demo")
    (place / "aion.toml").write_text(CONFIGURATION.format(notes=place / "notes"))
    run = "from aion_cli.main import main; main()"
    succeed(python, "-c", run, "demo", "--keep", "kept", "--seed", "1", cwd=place)
    (ledger,) = (place / "kept").glob("ledger*")
    return Demo(
        notes=(place / "notes").read_text().splitlines(),
        executions=[
            f"attempt {each.workflow_id} {each.activity_id} {each.attempt}"
            for each in read_ledger(ledger)
        ],
    )


def test_the_executor_sees_every_attempt_of_the_demo(demo: Demo) -> None:
    seen = Counter(note for note in demo.notes if note.startswith("attempt "))
    assert demo.executions
    assert Counter(demo.executions) - seen == Counter()


def test_the_executor_sees_nothing_but_attempts(demo: Demo) -> None:
    """A process may be killed between our note and the ledger's line, once for each kill."""
    kinds = {note.partition(" ")[0] for note in demo.notes}
    assert kinds == {"attempt", "plan", "seam"}
    assert {note for note in demo.notes if note.startswith("attempt ")} == set(demo.executions)


def test_the_seam_and_the_driver_take_part_in_each_start_up(demo: Demo) -> None:
    asked = [note.partition(" ")[2] for note in demo.notes if note.startswith("seam ")]
    planned = [note.partition(" ")[2] for note in demo.notes if note.startswith("plan ")]
    assert planned
    # Killed between the two, a process leaves the seam's note alone.
    assert Counter(planned) - Counter(asked) == Counter()
