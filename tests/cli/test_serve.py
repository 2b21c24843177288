"""A real engine, ``aion serve``, and the verbs that talk to it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aion_cli.exit_codes import ExitCode
from tests.cli.command import AION, finish
from tests.cli.shop import Shop

PATIENCE_S = 20.0


def serve(
    shop: Shop, *words: str, module: str = "app.py", names: str = "approve, checkout, deliver"
) -> subprocess.Popen[str]:
    """Start an engine; returned once it serves."""
    process = subprocess.Popen(
        # Observers that happen to be installed are to be silent: nobody empties the pipe meanwhile.
        [str(AION), "serve", module, "--store", shop.url, "--log-level", "error", *words],
        cwd=shop.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    assert first.startswith(f"aion: serving {names}; pid "), first
    return process


def shown_when(shop: Shop, workflow_id: str, holds: Callable[[Any], bool]) -> Any:
    """What is shown of a workflow as soon as something holds of it."""
    begun = time.monotonic()
    while not holds(shown := shop.json("show", workflow_id, "--offline")):
        assert time.monotonic() - begun < PATIENCE_S, shown
    return shown


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory where an engine runs as long as the tests of this module do."""
    directory = tmp_path_factory.mktemp("served")
    process = serve(Shop(directory))
    yield directory
    process.terminate()
    done = finish(process)
    assert done.code == -signal.SIGTERM
    assert done.err.splitlines()[-1] == "aion: stopped"


@pytest.fixture
def served(place: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(place)
    return Shop(place)


def test_the_id_of_what_is_started_is_printed(served: Shop) -> None:
    done = served.aion("start", "checkout", "--input", '{"order": "1"}', "--id", "one")
    assert (done.code, done.out) == (0, "one\n")
    assert served.json("start", "checkout", "--input", '{"order": "1"}', "--id", "one") == {
        "workflow_id": "one"
    }


def test_started_with_attributes_it_is_found_by_them(served: Shop) -> None:
    words = ("--input", '{"order": "1"}', "--attribute", "priority=3", "--attribute", "who=kim")
    started = served.json("start", "checkout", *words)["workflow_id"]
    (run,) = served.json("list", "--attribute", "priority=3", "--attribute", "who=kim")["runs"]
    assert run["workflow_id"] == started


def test_a_delayed_start_says_when_it_begins(served: Shop) -> None:
    served.aion("start", "approve", "--input", '{"order": "1"}', "--id", "late", "--delay", "3600")
    assert "its start, " in served.aion("show", "late").out
    assert served.aion("terminate", "late").code == 0


def test_an_engine_tells_the_signal_that_is_awaited_and_where(served: Shop) -> None:
    served.aion("start", "approve", "--input", '{"order": "1"}', "--id", "asked")
    explanation = served.json("show", "asked", "--timeout", "10")["explanation"]
    assert explanation["engine"] == "answered"
    (wait,) = (wait for wait in explanation["waits"] if wait["kind"] == "signal")
    assert wait["name"] == "approval"
    path, _, line = wait["place"].rpartition(":")
    code = Path(path).read_text().splitlines()[int(line) - 1]
    assert "await approval.receive()" in code
    assert "signal 'approval' for 0 s, at " in served.aion("show", "asked", "--timeout", "10").out


def test_messages_reach_the_workflow_and_are_answered(served: Shop) -> None:
    served.aion("start", "approve", "--input", '{"order": "7"}', "--id", "talk")
    assert served.aion("query", "talk", "stage").out == '"waiting"\n'
    assert served.aion("update", "talk", "note", '"hurry"').out == "1\n"
    assert served.json("update", "talk", "note", '"again"')["answer"] == 2
    assert served.aion("query", "talk", "stage").out == '"again"\n'
    assert served.aion("signal", "talk", "approval", "true").code == 0
    shown = served.json("show", "talk")
    assert (shown["status"], shown["result"]) == ("Completed", "7: True")
    assert served.aion("query", "talk", "stage").out == '"again"\n'


def test_a_signal_and_an_update_with_an_id_are_taken_once(served: Shop) -> None:
    served.aion("start", "approve", "--input", '{"order": "7"}', "--id", "once")
    for _ in range(2):
        assert served.aion("update", "once", "note", '"x"', "--update-id", "u").out == "1\n"


def test_what_a_workflow_does_not_take_is_refused_in_one_line(served: Shop) -> None:
    served.aion("start", "approve", "--input", '{"order": "7"}', "--id", "picky")
    for words, said in (
        (["signal", "picky", "aproval", "true"], "did you mean 'approval'?"),
        (["query", "picky", "stag"], "did you mean 'stage'?"),
        (["update", "picky", "note", '""'], "an empty note"),
        (["update", "picky", "nota", '""'], "did you mean 'note'?"),
        (["retry", "picky"], "none of its activities waits for a retry"),
        (["start", "approve", "--input", '{"order": "8"}', "--id", "picky"], "another input"),
    ):
        done = served.aion(*words)
        assert (done.code, said in done.error) == (ExitCode.REFUSED, True), done.error


def test_json_that_does_not_fit_is_an_error_of_the_command_line(served: Shop) -> None:
    served.aion("start", "approve", "--input", '{"order": "7"}', "--id", "typed")
    for words, said in (
        (["signal", "typed", "approval", '"yes"'], "fit signal 'approval': $: expected bool, got"),
        (["update", "typed", "note", "7"], "does not fit update 'note': $: expected str, got int"),
        (
            ["start", "approve", "--input", '{"ordr": "8"}'],
            "--input does not fit workflow 'approve'",
        ),
    ):
        done = served.aion(*words)
        assert (done.code, said in done.error) == (ExitCode.USAGE, True), done.error


def test_a_type_that_the_engine_has_not_is_not_found(served: Shop) -> None:
    done = served.aion("start", "chekout")
    assert done.code == ExitCode.NOT_FOUND
    assert "(it has: approve, checkout, deliver); did you mean 'checkout'?" in done.error


def test_an_activity_that_is_not_open_is_not_found(served: Shop) -> None:
    served.aion("start", "approve", "--input", '{"order": "7"}', "--id", "idle")
    done = served.aion("retry", "idle", "activity:9")
    assert done.code == ExitCode.NOT_FOUND
    assert "has no open activity 'activity:9'" in done.error


def test_a_cancelled_and_a_terminated_workflow_have_their_reason(served: Shop) -> None:
    for verb, status in (("cancel", "Cancelled"), ("terminate", "Terminated")):
        served.aion("start", "approve", "--input", '{"order": "7"}', "--id", verb)
        assert served.aion(verb, verb, "--reason", "no need").code == 0
        run = served.json("show", verb)
        assert (run["status"], run["failure_reason"]) == (status, "no need")


def test_a_held_activity_is_tried_again(served: Shop) -> None:
    served.aion("start", "deliver", "--input", '{"order": "7"}', "--id", "held")
    _wait_until_held(served, "held", attempt=1)
    assert served.aion("retry", "held", "activity:0").code == 0
    _wait_until_held(served, "held", attempt=2)


@pytest.mark.parametrize(
    ("words", "status", "result", "reason"),
    [
        (['"by hand"'], "Completed", "by hand", None),
        (["--error", "no lorry"], "Failed", None, "no lorry"),
    ],
)
def test_the_outcome_of_a_held_activity_is_supplied(
    served: Shop, words: list[str], status: str, result: str | None, reason: str | None
) -> None:
    served.aion("start", "deliver", "--input", '{"order": "7"}', "--id", status)
    _wait_until_held(served, status, attempt=1)
    assert served.aion("supply", status, "activity:0", *words, "--by", "kim").code == 0
    shown = shown_when(served, status, lambda shown: shown["status"] != "Running")
    assert (shown["status"], shown["result"]) == (status, result)
    assert (reason or "") in (shown["failure_reason"] or "")


def test_an_outcome_is_a_value_or_an_error(served: Shop) -> None:
    for words in ([], ["1", "--error", "x"]):
        assert served.aion("supply", "w", "activity:0", *words).code == ExitCode.USAGE


def _wait_until_held(shop: Shop, workflow_id: str, *, attempt: int) -> None:
    def is_held(shown: Any) -> bool:
        waits = shown["explanation"]["waits"]
        return [(wait["kind"], wait["attempt"]) for wait in waits] == [("held", attempt)]

    shown_when(shop, workflow_id, is_held)


def test_a_second_engine_on_the_same_store_is_refused(served: Shop) -> None:
    done = served.aion("serve", "app.py")
    assert done.code == ExitCode.ERROR
    assert "is being written by process" in done.error


def test_after_a_kill_the_next_engine_goes_on(shop: Shop) -> None:
    process = serve(shop)
    shop.aion("start", "approve", "--input", '{"order": "7"}', "--id", "o")
    process.kill()
    finish(process)
    silent = shop.aion("signal", "o", "approval", "true", "--timeout", "0.1")
    assert silent.code == ExitCode.NO_ANSWER
    assert "it is kept in the store" in silent.error
    process = serve(shop)
    try:
        shown = shown_when(shop, "o", lambda shown: shown["status"] == "Completed")
        assert shown["result"] == "7: True"
    finally:
        process.send_signal(signal.SIGINT)
        done = finish(process)
    assert done.code == 130
    assert done.err.splitlines() == [
        "aion: stopping; activities have 5 s, a second signal hurries",
        "aion: stopped",
    ]


SLOW = """
import aion_runtime as aion
import trio


@aion.activity
async def dig() -> None:
    await trio.sleep_forever()


@aion.workflow
async def mine() -> None:
    await dig()
"""


def test_a_second_signal_hurries(shop: Shop) -> None:
    (shop.directory / "other.py").write_text(SLOW)
    process = serve(shop, "--grace", "3600", module="other.py", names="mine")
    assert process.stderr is not None
    shop.aion("start", "mine", "--id", "m")
    shown_when(shop, "m", lambda shown: shown["events"] == 2)
    process.terminate()
    said = process.stderr.readline()
    assert said == "aion: stopping; activities have 3600 s, a second signal hurries\n"
    process.terminate()
    done = finish(process)
    assert (done.code, done.error) == (-signal.SIGTERM, "aion: stopped")
    assert shop.json("show", "m", "--offline")["status"] == "Running"


def test_the_answer_of_a_query_is_json(served: Shop) -> None:
    served.aion("start", "approve", "--input", '{"order": "7"}', "--id", "json")
    assert json.loads(served.aion("query", "json", "stage", "--json").out) == {
        "workflow_id": "json",
        "answer": "waiting",
    }
