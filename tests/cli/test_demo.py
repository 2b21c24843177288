"""``aion demo`` from end to end: with real processes, real kills and the real store."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

import aion_runtime
from aion_cli.demo.check import check
from aion_cli.demo.evidence import Evidence
from aion_cli.demo.expected import expected_end
from aion_cli.demo.ledger import read_ledger
from aion_cli.demo.orders import load_orders
from aion_cli.demo.place import read_histories, store_url
from aion_cli.exit_codes import ExitCode
from aion_core.errors import StoreUnavailableError
from tests.cli.command import Done, aion, finish, start


@attrs.frozen
class Running:
    """A demo under way."""

    process: subprocess.Popen[str]
    directory: Path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    """The long demos, all at once: they sleep most of the time."""
    demos: dict[str, Running] = {}

    def run(name: str, *arguments: str, **environ: str) -> None:
        directory = tmp_path_factory.mktemp(name)
        process = start("demo", *arguments, cwd=directory, **environ)
        demos[name] = Running(process, directory)

    run("kept", "--json", "--keep", "deep/kept")
    run("sabotaged", "--json", "--sabotage", "--seed", "4")
    run("elsewhere", "--json", "--store", "sqlite:///orders.db", "--seed", "4")
    run("plain", "--seed", "4", PYTHONIOENCODING="ascii")
    yield demos
    for demo in demos.values():
        demo.process.kill()
        demo.process.communicate()


@pytest.fixture(scope="module")
def kept(running: dict[str, Running]) -> Done:
    return finish(running["kept"].process)


@pytest.fixture(scope="module")
def sabotaged(running: dict[str, Running]) -> Done:
    return finish(running["sabotaged"].process)


@pytest.fixture(scope="module")
def plain(running: dict[str, Running]) -> Done:
    return finish(running["plain"].process)


@pytest.fixture(scope="module")
def kept_directory(kept: Done, running: dict[str, Running]) -> Path:
    return running["kept"].directory / "deep" / "kept"


def result(done: Done) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(done.out)
    return loaded


def test_the_demo_passes(kept: Done) -> None:
    assert result(kept)["findings"] == []
    assert (kept.code, kept.err) == (ExitCode.OK, "")


def test_the_demo_takes_at_most_20_seconds(kept: Done) -> None:
    assert result(kept)["seconds"] < 20


def test_the_engine_was_killed_where_it_hurts(kept: Done) -> None:
    kills = result(kept)["kills"]
    assert len(kills) >= 3
    assert len({kill["pid"] for kill in kills}) == len(kills)
    assert any(kill["in_flight"] for kill in kills)
    assert any(kill["waiting"] for kill in kills)


def test_orders_survived_crashes_and_all_have_their_end(kept: Done) -> None:
    orders = result(kept)["orders"]
    assert len(orders) == 25
    assert {order["outcome"] for order in orders} == {"shipped", "refunded", "declined"}
    assert any(order["crashes_survived"] for order in orders)


async def test_what_is_kept_bears_the_result_out(kept: Done, kept_directory: Path) -> None:
    ledger = read_ledger(kept_directory / "ledger.jsonl")
    histories = await read_histories(store_url(kept_directory / "demo.db"))
    assert len(ledger) == result(kept)["executions"]
    assert {line.pid for line in ledger} > {kill["pid"] for kill in result(kept)["kills"]}
    evidence = Evidence(ledger=ledger, kills=(), histories=histories)
    expected = {each.workflow_id: expected_end(each) for each in load_orders()}
    assert {finding.rule for finding in check(evidence, expected, kills=0)} <= {
        # What needs the copies is gone with them.
        "ran-too-often",
        "nothing-in-flight",
        "nothing-waiting",
    }


def test_a_hostile_name_comes_back_unharmed(kept: Done) -> None:
    (hostile,) = (each for each in load_orders() if each.order.order_id == "1011")
    (found,) = (each for each in result(kept)["orders"] if each["workflow_id"] == "order-1011")
    assert found["customer"] == hostile.order.customer


def test_the_demo_passes_on_a_store_given_by_url(running: dict[str, Running]) -> None:
    done = finish(running["elsewhere"].process)
    assert result(done)["findings"] == []
    assert (done.code, done.err) == (ExitCode.OK, "")
    assert (running["elsewhere"].directory / "orders.db").is_file()


def test_a_store_with_something_in_it_is_refused(kept_directory: Path, tmp_path: Path) -> None:
    url = store_url(kept_directory / "demo.db")
    done = aion("demo", "--store", url, cwd=tmp_path)
    assert done.code == ExitCode.ERROR
    assert f"the store {url!r} is not empty; name a new one" in done.error


def test_a_store_that_dies_with_its_process_is_refused(tmp_path: Path) -> None:
    done = aion("demo", "--store", "memory:", cwd=tmp_path)
    assert done.code == ExitCode.ERROR
    assert "the store 'memory:' is lost with the process that is to be killed" in done.error


def test_there_is_no_sabotage_of_a_store_given_by_url(tmp_path: Path) -> None:
    done = aion("demo", "--store", "sqlite:///x.db", "--sabotage", cwd=tmp_path)
    assert done.code == ExitCode.USAGE
    assert "leave out --store" in done.error


def test_a_directory_with_something_in_it_is_refused(kept_directory: Path, tmp_path: Path) -> None:
    done = aion("demo", "--keep", str(kept_directory), cwd=tmp_path)
    assert done.code == ExitCode.USAGE
    assert f"{kept_directory} is not an empty directory; name a new one" in done.error


def test_sabotage_is_found(sabotaged: Done) -> None:
    assert sabotaged.code == ExitCode.CHECK_FAILED
    findings = result(sabotaged)["findings"]
    again = [each["text"] for each in findings if each["rule"] == "ran-again"]
    assert any("charge (activity:0, attempt 1) ran again" in text for text in again)
    assert {each["rule"] for each in findings} == {"ran-again", "ran-too-often", "lost"}


def test_all_findings_of_sabotage_are_about_one_order(sabotaged: Done) -> None:
    texts = [each["text"] for each in result(sabotaged)["findings"]]
    assert len({text.partition(":")[0] for text in texts}) == 1


def test_outside_a_terminal_the_demo_prints_plain_lines(plain: Done) -> None:
    assert (plain.code, plain.err) == (ExitCode.OK, "")
    assert "\x1b" not in plain.out
    assert plain.out.isascii(), "what the encoding lacks is escaped"
    lines = plain.out.splitlines()
    assert lines[0] == "Aion demo: 25 orders, seed 4"
    assert sum(line.startswith("kill ") for line in lines) >= 3
    assert "Nothing was lost, and nothing ran again that had completed." in lines
    assert "Try next" in lines


def test_nothing_is_left_in_the_directory_for_temporary_files(
    kept: Done, sabotaged: Done, plain: Done, running: dict[str, Running]
) -> None:
    for demo in running.values():
        assert list((demo.directory / "tmp").iterdir()) == []


def test_orders_that_are_not_over_in_time_fail_the_check(tmp_path: Path) -> None:
    done = aion("demo", "--json", "--time-limit", "1", cwd=tmp_path)
    assert done.code == ExitCode.CHECK_FAILED
    rules = {finding["rule"] for finding in result(done)["findings"]}
    assert "unfinished" in rules
    assert "too-few-kills" in rules


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.02)


def has_no_writer(database: Path) -> bool:
    """The engine's process holds the store's lock to its last breath."""

    async def try_to_write() -> bool:
        try:
            async with aion_runtime.open_store(store_url(database)) as store, store.writer():
                return True
        except StoreUnavailableError:
            return False

    return trio.run(try_to_write)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_stopped_takes_its_engine_with_it_and_leaves_nothing(
    number: signal.Signals, tmp_path: Path
) -> None:
    process = start("demo", cwd=tmp_path)
    wait_until(lambda: list(tmp_path.glob("tmp/*/trial/ledger.jsonl")), "a ledger")
    (ledger,) = tmp_path.glob("tmp/*/trial/ledger.jsonl")
    wait_until(lambda: read_ledger(ledger), "an execution")
    engine = read_ledger(ledger)[0].pid
    process.send_signal(number)
    done = finish(process)
    assert done.code == 128 + number
    assert done.error == f"aion: stopped by {number.name}"
    assert list((tmp_path / "tmp").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(engine, 0)


def test_an_engine_does_not_outlive_a_demo_that_was_killed(tmp_path: Path) -> None:
    process = start("demo", "--keep", "kept", cwd=tmp_path)
    wait_until(lambda: read_ledger(tmp_path / "kept" / "ledger.jsonl"), "an execution")
    assert not has_no_writer(tmp_path / "kept" / "demo.db")
    process.kill()
    finish(process)
    wait_until(lambda: has_no_writer(tmp_path / "kept" / "demo.db"), "the end of the engine")
