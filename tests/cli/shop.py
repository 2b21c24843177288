"""A directory with an application and a store, and ``aion`` called in it, in this process."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import trio

import aion_runtime as aion
from aion_cli.loading import load_module
from aion_cli.main import main
from aion_runtime import Engine
from tests.cli.command import Done

APP = """
import aion_runtime as aion


@aion.activity(retry=aion.RetryPolicy(max_attempts=1))
async def charge(order: str) -> str:
    if order == "bad":
        raise ValueError("no funds")
    return f"receipt for {order}"


@aion.activity(retry=aion.RetryPolicy(max_attempts=1, on_exhausted="pause"))
async def ship(order: str) -> str:
    raise OSError("no lorry")


approval = aion.Signal("approval", bool)
stage = aion.Query("stage", str)
note = aion.Update("note", str, int)


@aion.workflow
async def checkout(order: str, rest: float = 0.0) -> str:
    receipt = await charge(order)
    await aion.sleep(rest)
    return receipt


@aion.workflow(accepts=[approval, stage, note])
async def approve(order: str) -> str:
    notes = []
    stage.answer(lambda: "waiting" if not notes else notes[-1])

    def keep(text: str) -> int:
        notes.append(text)
        return len(notes)

    def check(text: str) -> None:
        if not text:
            raise ValueError("an empty note")

    note.handle(keep, validator=check)
    with aion.move_on_after(3600):
        return f"{order}: {await approval.receive()}"
    return "too late"


@aion.workflow
async def deliver(order: str) -> str:
    return await ship(order)
"""


Work: TypeAlias = Callable[[aion.Engine, Any], Awaitable[None]]


class Shop:
    """The directory is the current one as long as the shop is used.

    Attributes:
        url: of its store.
    """

    url = "sqlite:///shop.db"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "app.py").write_text(APP)

    def aion(self, *arguments: str, stdin: str = "", store: bool = True) -> Done:
        """Run a command to its end, in this process."""
        out, err = io.StringIO(), io.StringIO()
        words = [*arguments, "--store", self.url] if store else list(arguments)
        before = sys.stdin
        sys.stdin = io.StringIO(stdin)
        try:
            with (
                forgotten_modules(),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                main(words)
        except SystemExit as ended:
            code = ended.code
        finally:
            sys.stdin = before
        return Done(0 if code is None else int(code), out.getvalue(), err.getvalue())

    def json(self, *arguments: str) -> Any:
        """What a command prints with ``--json``."""
        done = self.aion(*arguments, "--json")
        assert done.err == ""
        return json.loads(done.out)

    def engine(self, work: Work) -> None:
        """Do something with an engine that has the application; then it is closed."""

        async def run() -> None:
            with forgotten_modules():
                app = load_module("app.py")
                async with aion.open_engine(self.url, workflows=[app], shutdown_grace=0) as engine:
                    await work(engine, app)

        trio.run(run)

    def start(self, workflow: str, workflow_id: str, order: str = "o", **options: Any) -> None:
        """Leave a workflow in the store, as far as it comes by itself."""

        async def work(engine: Engine, app: Any) -> None:
            await engine.start(getattr(app, workflow), order, workflow_id=workflow_id, **options)
            await at_rest(engine, workflow_id)

        self.engine(work)


async def at_rest(engine: aion.Engine, workflow_id: str) -> None:
    """Return when no activity of a workflow is under way any more."""
    handle = engine.get(workflow_id)
    with trio.fail_after(10):
        while True:
            last = (await handle.history())[-1]
            if not isinstance(last, aion.events.ActivityScheduled):
                return
            await trio.sleep(0.005)


@contextlib.contextmanager
def forgotten_modules() -> Iterator[None]:
    """What is imported meanwhile from the directory of a test is forgotten afterwards."""
    path, modules = list(sys.path), dict(sys.modules)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in ("app", "other"):
            if name not in modules:
                sys.modules.pop(name, None)
