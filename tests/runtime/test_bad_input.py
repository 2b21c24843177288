"""What is said about bad input where engines and stores are opened, and where engines are asked.

Each row: a situation, a call, the class of the error, and words of its one sentence. What is sent
to runs is in ``test_client_bad_input``, what the command line is given in ``tests/cli``.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

import aion_runtime as aion
from aion_store_sqlite.store import open_store

Call = Callable[[], Awaitable[object]]

BYTES_LEFT = 512

go = aion.Signal("go", int)


@aion.activity
async def work(number: int) -> int:
    return number


@aion.workflow
async def order(number: int) -> int:
    return number


@aion.workflow
async def waiting() -> int:
    return await go.receive()


@aion.workflow
async def mapping() -> list[int]:
    return await aion.map(work, 5)  # type: ignore[arg-type]


async def opened(*args: Any, **options: Any) -> None:
    async with aion.open_engine(*args, **{"workflows": [order], **options}):
        pass


async def only_opened(*args: Any) -> None:
    async with aion.open_store(*args):
        pass


@attrs.frozen
class Row:
    """One bad input.

    Attributes:
        words: some of what is said; the last ones say what to do.
    """

    call: Callable[..., Any]
    error: type[Exception]
    words: tuple[str, ...]


def options(error: type[Exception], *words: str, **given: Any) -> Row:
    return Row(lambda: opened("memory:", **given), error, words)


def url(text: str, *words: str) -> Row:
    return Row(lambda: opened(text), aion.ConfigError, (repr(text), *words))


OPENING = {
    "a path": Row(
        lambda: opened(Path("a.db")), TypeError, ("is a URL, not", "write 'sqlite:///a.db'")
    ),
    "a number for a store": Row(lambda: opened(5), TypeError, ("not 5", "'sqlite:///aion.db'")),
    "a context": Row(
        lambda: opened(aion.open_store("memory:")), TypeError, ("is opened by 'async with'",)
    ),
    "a path to open_store": Row(
        lambda: only_opened(Path("a.db")), aion.ConfigError, ("it has to be a store URL",)
    ),
    "no text": Row(
        lambda: opened(""), aion.ConfigError, ("store is empty; it has to be a store URL",)
    ),
    "a file's name": url("a.db", "is not a store URL; write for example 'sqlite:///aion.db'"),
    "no such scheme": Row(
        lambda: opened("sqlit:///a.db"), aion.ConfigError, ("'sqlit:'", "did you mean 'sqlite'?")
    ),
    "too few slashes": url("sqlite://a.db", "names no file; write 'sqlite:///relative.db' or"),
    "no such option": url("sqlite:///a.db?durabilty=full", "did you mean 'durability'?"),
    "no such durability": url("sqlite:///a.db?durability=no", "is 'full' or 'normal', not 'no'"),
    "one workflow": options(
        TypeError, "workflows takes a list, as in workflows=[order]", workflows=order
    ),
    "the name of a workflow": options(TypeError, "takes a list", "'shop'", workflows="shop"),
    "no workflows": options(TypeError, "takes a list", "not None", workflows=None),
    "an activity": options(
        aion.ConfigError, "takes functions decorated with @workflow, not", workflows=[work]
    ),
    "one resource": options(TypeError, "resources takes a list", resources=5),
    "two of a class": options(aion.ConfigError, "give each a class of its own", resources=[1, 2]),
    "text for bytes": options(
        TypeError, "resident_bytes is '1'; give a number of bytes", resident_bytes="1"
    ),
    "less than no bytes": options(ValueError, "is -1; give a number", resident_bytes=-1),
    "no attempts": options(ValueError, "or None for any number", activity_limit=0),
    "text for attempts": options(TypeError, "'3'; give a number of attempts", activity_limit="3"),
    "no runs": options(ValueError, "or None for any number", max_running=0),
    "truth for runs": options(TypeError, "True; give a number of runs", max_running=True),
    "text for seconds": options(TypeError, "seconds or a timedelta", shutdown_grace="5"),
    "less than no time": options(ValueError, "not -5", shutdown_grace=-5),
    "no such policy": options(
        aion.ConfigError, "one of 'replay' and 'strict', not 'x'", on_version_mismatch="x"
    ),
    "no such other policy": options(
        aion.ConfigError, "is 'hold' or 'fail', not 'x'", on_nondeterminism="x"
    ),
    "no such executor": options(
        aion.ConfigError, "(installed: local)", "choose another", executor="x"
    ),
    "a number for an executor": options(TypeError, "a name or a LiveExecutor, not 5", executor=5),
    "a number for a driver": options(
        TypeError, "a name or a RecoveryDriver, not 5", recovery_driver=5
    ),
    "a number for a seam": options(TypeError, "a name or a recovery seam", recovery_seam=5),
    "a number for a clock": options(TypeError, "clock is a Clock, not 5", clock=5),
    "a number for plugins": options(TypeError, "is a PluginManager, not 5", plugins=5),
    "settings of nobody": options(
        aion.ConfigError, "did you mean 'sqlite'?", settings={"sqlit": {}}
    ),
    "text for truth": options(aion.ConfigError, "it has to be true or false", dev_mode="yes"),
}
"""What cannot be opened, whatever there is on the disk."""


ASKING: dict[str, Row] = {
    "text for a filter": Row(
        lambda e: e.list_runs("x"),
        aion.WorkflowUsageError,
        ("a filter is a RunFilter, as in RunFilter(workflow_type='order'), not 'x'",),
    ),
    "a dict for a filter": Row(
        lambda e: e.count({"status": "Running"}), aion.WorkflowUsageError, ("is a RunFilter",)
    ),
    "text for a filter of events": Row(
        lambda e: anext(e.events("x")), aion.WorkflowUsageError, ("is a RunFilter",)
    ),
    "text for a position": Row(
        lambda e: anext(e.events(after="x")), TypeError, ("the position of an event, or 0",)
    ),
    "before the first position": Row(lambda e: anext(e.events(after=-1)), ValueError, ("not -1",)),
    "no rows": Row(lambda e: e.list_runs(limit=0), ValueError, ("at least 1 row, not 0",)),
    "text for a limit": Row(
        lambda e: e.list_runs(limit="5"), TypeError, ("limit is a number of rows, not '5'",)
    ),
    "no cursor": Row(lambda e: e.list_runs(cursor="x"), ValueError, ("begin without one",)),
    "a number for a cursor": Row(lambda e: e.list_runs(cursor=5), ValueError, ("begin without",)),
    "an id nobody has": Row(
        lambda e: e.describe("nobody"), aion.WorkflowNotFoundError, ("'nobody'",)
    ),
    "a number for an id": Row(
        lambda e: e.describe(5), aion.InvalidIdError, ("a workflow id is text, not int: 5",)
    ),
    "nothing for an id": Row(
        lambda e: e.get(None).describe(), aion.InvalidIdError, ("is text, not NoneType",)
    ),
    "no characters for an id": Row(
        lambda e: e.explain(""), aion.InvalidIdError, ("it must have 1 to 255",)
    ),
    "an id that cannot be printed": Row(
        lambda e: e.start(order, 1, workflow_id="a\0b"), aion.InvalidIdError, ("leave them out",)
    ),
    "an activity to start": Row(
        lambda e: e.start(work, 1),
        aion.WorkflowUsageError,
        ("start takes a function decorated with @workflow, not <activity",),
    ),
    "the name of what to start": Row(
        lambda e: e.start("order", 1), aion.WorkflowUsageError, ("not 'order'",)
    ),
    "too few arguments": Row(
        lambda e: e.start(order), TypeError, ("missing a required argument: 'number'",)
    ),
    "too many arguments": Row(
        lambda e: e.start(order, 1, 2), TypeError, ("too many positional arguments",)
    ),
    "an argument of another type": Row(
        lambda e: e.start(order, "1"), aion.PayloadError, ("$.number: expected int, got str",)
    ),
    "a number for attributes": Row(
        lambda e: e.start(order, 1, attributes=5), TypeError, ("a mapping of names to values",)
    ),
    "an attribute of no type": Row(
        lambda e: e.start(order, 1, attributes={"a": object()}), TypeError, ("must be a text,",)
    ),
    "a memo of no type": Row(
        lambda e: e.start(order, 1, memo=object()), aion.PayloadError, ("cannot be stored as JSON",)
    ),
    "text for a delay": Row(
        lambda e: e.start(order, 1, delay="x"), TypeError, ("seconds or a timedelta, not 'x'",)
    ),
    "a number for a type": Row(
        lambda e: e.start_named(5, {}), aion.WorkflowUsageError, ("of a workflow as a text, not 5",)
    ),
    "a number for a reason": Row(
        lambda e: e.get("open").terminate(5), aion.WorkflowUsageError, ("as a text, not 5",)
    ),
    "a number for an activity": Row(
        lambda e: e.get("open").retry(5), aion.WorkflowUsageError, ("as a text, not 5",)
    ),
    "a number of items": Row(
        lambda e: result_of(e, mapping),
        aion.WorkflowFailedError,
        ("map takes the items in a list, as in map(fetch, pages), not 5",),
    ),
}
"""What an engine with an open workflow ``open`` is asked."""


async def result_of(engine: aion.Engine, workflow: Any) -> object:
    return await (await engine.start(workflow)).result()


async def require(row: Row, call: Call) -> None:
    with pytest.raises(row.error) as caught:
        await call()
    message = str(caught.value)
    for words in row.words:
        assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("situation", OPENING)
async def test_what_cannot_be_opened_says_what_to_write(
    situation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AION_STORE", raising=False)
    row = OPENING[situation]
    await require(row, row.call)
    assert content_of(tmp_path / "a.db") is None


async def test_what_an_engine_cannot_be_asked_says_what_to_ask() -> None:
    async with aion.open_engine("memory:", workflows=[order, waiting, mapping]) as engine:
        await engine.start(waiting, workflow_id="open")
        for situation, row in ASKING.items():

            async def ask(row: Row = row) -> object:
                return await row.call(engine)

            try:
                await require(row, ask)
            except AssertionError as error:
                raise AssertionError(situation) from error
        # None of it has left anything, and the engine goes on.
        assert (await engine.describe("open")).events == 1
        await engine.get("open").signal(go, 7)
        assert await engine.get("open").result() == 7


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """With two open runs, ``w`` and ``v``."""
    path = tmp_path / "aion.db"
    async with aion.open_engine(f"sqlite:///{path}", workflows=[waiting]) as engine:
        for workflow_id in "wv":
            await engine.start(waiting, workflow_id=workflow_id)
    return path


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement).fetchall()


def newer(path: Path) -> None:
    execute(path, "PRAGMA user_version = 999")


def of_another_program(path: Path) -> None:
    execute(path, "PRAGMA application_id = 7")


def no_database(path: Path) -> None:
    path.write_text("these are the minutes of our meeting, and no database at all\n" * 99)


def directory(path: Path) -> None:
    for each in path.parent.glob("aion.db*"):
        each.unlink()
    path.mkdir()


FILES = {
    "newer": Row(
        newer, aion.SchemaVersionError, ("newer version", "upgrade aion-workflow-store-sqlite")
    ),
    "another program's": Row(
        of_another_program, aion.StoreUnavailableError, ("another program", "name another file")
    ),
    "no database": Row(
        no_database, aion.StoreUnavailableError, ("not a SQLite database", "name another file")
    ),
    "a directory": Row(directory, aion.StoreUnavailableError, ("directory", "name a file in it")),
}


@pytest.mark.parametrize("situation", FILES)
async def test_a_file_that_cannot_be_used_is_left_as_it_is_and_says_what_to_do(
    situation: str, database: Path
) -> None:
    row = FILES[situation]
    row.call(database)
    before = content_of(database)
    await require(row, lambda: opened(f"sqlite:///{database}", workflows=[waiting]))
    assert content_of(database) == before


def content_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


async def test_damaged_rows_are_told_and_cost_no_event(database: Path) -> None:
    execute(
        database,
        "INSERT INTO activities (workflow, activity_id, activity_type, scheduled_seq, attempt, "
        "delivery, next_attempt_at, cancel_requested) VALUES (1, 'a', 'a', 1, 1, 1, 'today', 0)",
    )
    url = f"sqlite:///{database}"
    row = Row(opened, aion.StoreError, ("a row that cannot be read", "from a back-up"))
    await require(row, lambda: opened(url, workflows=[waiting]))
    execute(database, "DELETE FROM activities")
    async with aion.open_engine(url, workflows=[waiting]) as engine:
        assert (await engine.describe("w")).events == 1


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    row = Row(opened, aion.StoreUnavailableError, ("no directory", "create it first"))
    await require(row, lambda: opened(f"sqlite:///{tmp_path}/none/a.db"))


@contextmanager
def without_rights(path: Path) -> Iterator[None]:
    """Root may everything, so it is somebody else for the while."""
    if os.geteuid() == 0:
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        path.chmod(0)
        yield
        path.chmod(0o600)


async def test_a_file_without_the_right_to_it_says_so(database: Path) -> None:
    url = f"sqlite:///{database}"
    row = Row(opened, aion.StoreUnavailableError, ("aion.db", "check"))
    with without_rights(database):
        await require(row, lambda: opened(url, workflows=[waiting]))
    async with aion.open_engine(url, workflows=[waiting]) as engine:
        assert await engine.count() == 2


HOLDER = """
import fcntl, os, sys, time
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
os.ftruncate(lock, 0)
os.pwrite(lock, f"{os.getpid()}\\n".encode(), 0)
print("held", flush=True)
time.sleep(60)
"""
"""What the lock of an engine in another process is like."""


@contextmanager
def held(database: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, f"{database}.lock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


async def test_a_store_is_refused_while_its_holder_lives_and_opened_when_it_is_dead(
    database: Path,
) -> None:
    url = f"sqlite:///{database}"
    with held(database) as holder:
        words = (f"is being written by process {holder.pid}", "stop it first")
        row = Row(opened, aion.StoreUnavailableError, words)
        await require(row, lambda: opened(url, workflows=[waiting]))
        async with open_store(url) as store:  # reading needs nobody's leave
            assert await store.count() == 2
        holder.kill()
        holder.wait()
        # The file of the lock still names it.
        assert content_of(database.with_name("aion.db.lock")) == f"{holder.pid}\n".encode()
        async with aion.open_engine(url, workflows=[waiting]) as engine:
            await engine.get("w").signal(go, 7)
            assert await engine.get("w").result() == 7


async def test_a_damaged_event_holds_its_run_and_no_other(database: Path) -> None:
    execute(
        database,
        "UPDATE events SET data = '{' "
        "WHERE workflow = (SELECT workflow FROM workflows WHERE workflow_id = 'w')",
    )
    async with aion.open_engine(f"sqlite:///{database}", workflows=[waiting]) as engine:
        row = Row(opened, aion.WorkflowStuckError, ("event 1 of workflow 'w' cannot be read",))
        await require(row, lambda: engine.get("w").query(aion.Query("state", int)))
        await engine.get("v").signal(go, 7)
        assert await engine.get("v").result() == 7


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES_LEFT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_on_a_full_disk_nothing_is_opened_anew(tmp_path: Path) -> None:
    row = Row(opened, aion.StoreError, ("aion.db", "disk"))
    with full_disk():
        await require(row, lambda: opened(f"sqlite:///{tmp_path}/aion.db"))
    await opened(f"sqlite:///{tmp_path}/aion.db")


async def test_on_a_disk_that_becomes_full_an_engine_waits_until_there_is_room(
    database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who has asked waits, too; what is in memory is kept."""
    url = f"sqlite:///{database}"
    async with (
        aion.open_engine(url, workflows=[waiting]) as engine,
        trio.open_nursery() as nursery,
    ):
        with full_disk():
            nursery.start_soon(engine.get("w").signal, go, 7)
            while "could not be stored" not in caplog.text:
                await trio.lowlevel.checkpoint()
            assert (await engine.describe("w")).events == 1
        assert await engine.get("w").result() == 7
    assert "next try in" in caplog.text
