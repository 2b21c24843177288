"""Bad input to every verb: one line on stderr that says what to do, an exit code, nothing lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aion_cli.exit_codes import ExitCode
from tests.cli.shop import Shop

READING = {
    "list": ["list"],
    "show": ["show", "open-1", "--offline"],
    "history": ["history", "open-1"],
    "replay": ["replay", "open-1", "app.py"],
    "replay all": ["replay", "--all", "app.py"],
}
ASKING = {
    "start": ["start", "checkout", "--timeout", "0.05"],
    "signal": ["signal", "open-1", "approval", "true", "--timeout", "0.05"],
    "query": ["query", "open-1", "stage", "--timeout", "0.05"],
    "update": ["update", "open-1", "note", '"x"', "--timeout", "0.05"],
    "cancel": ["cancel", "open-1", "--timeout", "0.05"],
    "terminate": ["terminate", "open-1", "--timeout", "0.05"],
    "retry": ["retry", "open-1", "--timeout", "0.05"],
    "supply": ["supply", "open-1", "activity:0", "1", "--timeout", "0.05"],
}
RUNNING = {
    "run": ["run", "app.py:checkout", "--input", '{"order": "7"}'],
    "serve": ["serve", "app.py"],
}
ALL = READING | ASKING | RUNNING
WITH_ID = {name: words for name, words in (READING | ASKING).items() if "open-1" in words}


def each(verbs: dict[str, list[str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("words", verbs.values(), ids=verbs)


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an open workflow and a closed one, to be copied."""
    directory = tmp_path_factory.mktemp("stocked")
    before = Path.cwd()
    os.chdir(directory)
    try:
        shop = Shop(directory)
        shop.start("approve", "open-1")
        shop.start("checkout", "closed-1")
    finally:
        os.chdir(before)
    return directory


class StockedShop(Shop):
    """A shop whose store a test may spoil."""

    is_spoilt = False


@pytest.fixture
def shop(stocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StockedShop]:
    """After the test its events are what they were, unless the test has spoilt them."""
    directory = tmp_path / "shop"
    shutil.copytree(stocked, directory)
    monkeypatch.chdir(directory)
    monkeypatch.delenv("AION_STORE", raising=False)
    shop = StockedShop(directory)
    before = events(shop)
    yield shop
    if not shop.is_spoilt:
        assert events(shop) == before


def events(shop: Shop) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(shop.directory / "shop.db")) as connection:
        return connection.execute("SELECT * FROM v_events ORDER BY 1, 2").fetchall()


def spoil(shop: StockedShop, *statements: str) -> None:
    shop.is_spoilt = True
    with closing(sqlite3.connect(shop.directory / "shop.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def renamed(words: list[str], workflow_id: str) -> list[str]:
    return [workflow_id if word == "open-1" else word for word in words]


@each(WITH_ID)
def test_an_unknown_id_names_the_nearest(shop: StockedShop, words: list[str]) -> None:
    done = shop.aion(*renamed(words, "opn-1"))
    assert done.code == ExitCode.NOT_FOUND
    assert done.error == "aion: no workflow has the id 'opn-1'; did you mean 'open-1'?"


@each(WITH_ID)
def test_what_can_be_no_id_is_a_usage_error(shop: StockedShop, words: list[str]) -> None:
    done = shop.aion(*renamed(words, " x"))
    assert done.code == ExitCode.USAGE
    assert "begins or ends with white space; strip it" in done.error


@each({name: ASKING[name] for name in ("signal", "cancel", "terminate", "retry", "supply")})
def test_a_closed_workflow_takes_nothing(shop: StockedShop, words: list[str]) -> None:
    done = shop.aion(*renamed(words, "closed-1"))
    assert done.code == ExitCode.REFUSED
    assert "workflow 'closed-1' is closed (Completed)" in done.error


@each(ASKING)
def test_without_an_engine_the_request_is_kept(shop: StockedShop, words: list[str]) -> None:
    done = shop.aion(*words)
    assert done.code == ExitCode.NO_ANSWER
    assert "run an engine on that store with this workflow's code" in done.error


def test_a_start_that_is_kept_is_told_by_its_id(shop: StockedShop) -> None:
    shop.is_spoilt = True
    shop.aion("start", "checkout", "--input", '{"order": "7"}', "--id", "kept", "--timeout", "0.1")
    done = shop.aion("show", "kept")
    assert done.code == ExitCode.NOT_FOUND
    assert "its start is kept in the store, so run an engine" in done.error


def test_a_module_that_fails_in_our_code_is_to_be_mended_in_its_own(shop: StockedShop) -> None:
    text = "import aion_runtime as aion\n\n\n@aion.workflow(limit=1)\nasync def w() -> None: ...\n"
    Path("mended.py").write_text(text)
    done = shop.aion("run", "mended.py")
    assert done.code == ExitCode.ERROR
    assert "mended.py, line 4); mend it there" in done.error


@each(READING | ASKING)
def test_a_missing_file_is_not_made(shop: StockedShop, words: list[str]) -> None:
    done = shop.aion(*words, "--store", "sqlite:///missing.db", store=False)
    assert done.code == ExitCode.ERROR
    assert "there is no store at 'sqlite:///missing.db'; check the URL" in done.error
    assert not Path("missing.db").exists()


@each(ALL)
def test_no_store_named_shows_how_to_name_one(shop: StockedShop, words: list[str]) -> None:
    done = shop.aion(*words, store=False)
    assert done.code == ExitCode.ERROR
    assert "no store is named; add --store sqlite:///aion.db, set AION_STORE" in done.error


@each(ALL)
def test_a_scheme_that_nobody_serves_is_told(shop: StockedShop, words: list[str]) -> None:
    done = shop.aion(*words, "--store", "sqlit:///shop.db", store=False)
    assert done.code == ExitCode.ERROR
    assert "sqlite" in done.error


@each(ALL)
def test_a_database_of_a_newer_version_is_left_alone(shop: StockedShop, words: list[str]) -> None:
    spoil(shop, "PRAGMA user_version = 999")
    before = Path("shop.db").read_bytes()
    done = shop.aion(*words)
    assert done.code == ExitCode.ERROR
    assert "was written by a newer version of Aion" in done.error
    assert "upgrade aion-workflow-store-sqlite" in done.error
    assert Path("shop.db").read_bytes() == before


@each(ALL)
def test_a_file_that_is_no_database_is_told(shop: StockedShop, words: list[str]) -> None:
    shop.is_spoilt = True
    for path in Path().glob("shop.db*"):
        path.unlink()
    Path("shop.db").write_text("this is a letter to my aunt, and no database at all\n" * 50)
    done = shop.aion(*words)
    assert done.code == ExitCode.ERROR
    assert "shop.db" in done.error


@each({name: READING[name] for name in ("show", "history")})
def test_a_corrupt_row_names_event_and_way_out(shop: StockedShop, words: list[str]) -> None:
    corrupt(shop)
    done = shop.aion(*words)
    assert done.code == ExitCode.ERROR
    assert "event 2 of workflow 'open-1' cannot be read" in done.error
    assert "restore the store from a back-up" in done.error


def test_a_corrupt_row_does_not_hide_the_other_workflows(shop: StockedShop) -> None:
    corrupt(shop)
    assert len(shop.json("list")["runs"]) == 2
    done = shop.aion("replay", "--all", "app.py")
    assert done.code == ExitCode.CHECK_FAILED
    assert "1 of 2 histories fit the code" in done.out


def corrupt(shop: StockedShop) -> None:
    """Damage the second event of the open workflow, the older of the two."""
    spoil(shop, "UPDATE events SET data = '{' WHERE seq = 2 AND workflow = 1")


@each(ALL)
def test_no_permission_is_told(
    shop: Shop, words: list[str], without_permission: Callable[[], None]
) -> None:
    without_permission()
    done = shop.aion(*words)
    assert done.code == ExitCode.ERROR
    assert "shop.db" in done.error


@pytest.fixture
def without_permission(shop: Shop) -> Iterator[Callable[[], None]]:
    """Takes the rights on the store away; root has them all, and is shown a directory instead."""

    def take() -> None:
        if os.geteuid() == 0:
            Path("kept").mkdir()
            for path in list(Path().glob("shop.db*")):
                path.rename(Path("kept") / path)
            Path("shop.db").mkdir()
        else:
            Path("shop.db").chmod(0)

    yield take
    if Path("kept").exists():
        Path("shop.db").rmdir()
        for path in list(Path("kept").iterdir()):
            path.rename(path.name)
    else:
        Path("shop.db").chmod(0o600)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "app.py:checkout", "--input", "{oops"], "is no JSON"),
        (["run", "app.py:checkout", "--input", "[]"], "give a JSON object"),
        (["run", "app.py:checkout", "--input", '{"order": NaN}'], "NaN is no JSON number"),
        (["run", "app.py:checkout", "--input", '{"ordr": "7"}'], "did you mean 'order'?"),
        (["run", "app.py:checkout", "--input", '{"order": 7}'], "expected str, got int"),
        (["run", "app.py:checkout"], "field 'order' is missing"),
        (["run", "app.py:checkout", "--input", "@missing.json"], "missing.json cannot be read"),
        (["run", "app.py:chekout"], "did you mean 'checkout'?"),
        (["run", "app.py"], "it holds: approve, checkout, deliver"),
        (["run", "missing.py:checkout"], "there is no file 'missing.py'"),
        (["run", "apq:checkout"], "did you mean 'app'?"),
        (["run", "app.py:checkout", "--input", '{"order": "7"}', "--id", ""], "0 characters"),
        (["serve", "missing"], "there is no module 'missing'"),
        (["replay", "open-1", "missing.py"], "there is no file 'missing.py'"),
        (["start", "checkout", "--input", "7"], "--input is a number"),
        (["start", "checkout", "--attribute", "vip"], "is not NAME=VALUE"),
        (["start", "checkout", "--attribute", 'vip={"a": 1}'], "attribute 'vip' must be"),
        (["start", "checkout", "--delay", "-1"], "--delay"),
        (["start", "checkout", "--delay", "nan"], "nan is no number"),
        (["start", "checkout", "--delay", "1e20"], "--delay"),
        (["start", "checkout", "--timeout", "inf"], "--timeout"),
        (["list", "--attribute", "=x"], "is not NAME=VALUE"),
        (["list", "--status", "runing"], "--status"),
        (["list", "--limit", "0"], "--limit"),
        (["signal", "open-1", "approval", "yes"], "is no JSON"),
        (["update", "open-1", "note", "'x'"], "texts need double quotes"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_given_wrongly_is_a_usage_error(
    shop: StockedShop, words: list[str], said: str
) -> None:
    done = shop.aion(*words)
    assert done.code == ExitCode.USAGE
    assert said in done.error


@each({"run": ["run", "broken.py:x"], "serve": ["serve", "broken"], "replay": ["replay", "--all"]})
def test_a_module_that_fails_is_told_with_its_line(shop: StockedShop, words: list[str]) -> None:
    Path("broken.py").write_text("import os\n\n1 / 0\n")
    done = shop.aion(*words, *(["broken.py"] if words[0] == "replay" else []))
    assert done.code == ExitCode.ERROR
    assert "failed: ZeroDivisionError: division by zero" in done.error
    assert "broken.py, line 3)" in done.error


def test_a_store_held_by_a_dead_process_is_taken(shop: Shop) -> None:
    # As a process leaves it that was killed: its number in the lock file, and no lock.
    Path("shop.db.lock").write_text("999999999")
    assert shop.aion("replay", "--all", "app.py").code == ExitCode.OK
    assert shop.aion("list").code == ExitCode.OK
