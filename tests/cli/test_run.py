"""``aion run``: a workflow in an engine of its own."""

from __future__ import annotations

import json
import signal
import subprocess

import trio

import aion_runtime as aion
from aion_cli.exit_codes import ExitCode
from tests.cli.command import AION, finish, start
from tests.cli.command import aion as aion_command
from tests.cli.shop import Shop


def test_the_result_is_json_on_stdout(shop: Shop) -> None:
    done = shop.aion("run", "app.py:checkout", "--input", '{"order": "7"}')
    assert (done.code, done.out, done.err) == (0, '"receipt for 7"\n', "")


def test_with_json_the_id_is_told_too(shop: Shop) -> None:
    told = shop.json("run", "app:checkout", "--input", '{"order": "7"}', "--id", "order-7")
    assert told == {"workflow_id": "order-7", "result": "receipt for 7"}


def test_input_may_come_from_stdin_and_from_a_file(shop: Shop) -> None:
    given = json.dumps({"order": "ü"})
    (shop.directory / "given.json").write_text(given)
    for place in ("-", "@given.json"):
        done = shop.aion("run", "app.py:checkout", "--input", place, stdin=given)
        assert done.out == '"receipt for ü"\n'


def test_run_again_with_its_id_it_runs_nothing_twice(shop: Shop) -> None:
    words = ("run", "app.py:checkout", "--input", '{"order": "7"}', "--id", "order-7")
    assert shop.aion(*words).out == shop.aion(*words).out
    assert len(shop.json("history", "order-7")) == 4


def test_a_workflow_is_found_by_its_type_or_alone_in_its_module(shop: Shop) -> None:
    (shop.directory / "other.py").write_text(
        "import aion_runtime as aion\n\n"
        '@aion.workflow(name="greeting")\nasync def greet() -> str:\n    return "hello"\n'
    )
    assert shop.aion("run", "other.py:greeting").out == '"hello"\n'
    assert shop.aion("run", "other").out == '"hello"\n'


def test_a_failed_workflow_is_one_line_and_a_code_of_its_own(shop: Shop) -> None:
    done = shop.aion("run", "app.py:checkout", "--input", '{"order": "bad"}', "--id", "b")
    assert done.code == ExitCode.FAILED
    assert done.out == ""
    assert "workflow 'b' failed: ActivityError" in done.error
    assert "no funds" in done.error


def test_other_input_under_the_same_id_is_refused(shop: Shop) -> None:
    shop.start("checkout", "o-1", "7")
    done = shop.aion("run", "app.py:checkout", "--input", '{"order": "8"}', "--id", "o-1")
    assert done.code == ExitCode.REFUSED
    assert "'o-1' was already started with another input" in done.error


def test_interrupted_it_goes_on_when_it_is_run_again(shop: Shop) -> None:
    words = ("--input", '{"order": "7", "rest": 1.5}', "--id", "o", "--store", shop.url)
    process = subprocess.Popen(
        [str(AION), "run", "app.py:checkout", *words],
        cwd=shop.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for_timer(shop)
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.code == 130
    assert done.error == "aion: interrupted; run it again with --id o to go on"
    again = shop.aion("run", "app.py:checkout", *words[:4])
    assert again.out == '"receipt for 7"\n'
    kinds = [event["kind"] for event in shop.json("history", "o")]
    assert kinds.count("ActivityScheduled") == kinds.count("ActivityCompleted") == 1


def test_in_a_pipe_a_held_activity_is_told_once_with_what_to_do(shop: Shop) -> None:
    words = ("--input", '{"order": "7"}', "--id", "o", "--store", shop.url)
    process = start("run", "app.py:deliver", *words, cwd=shop.directory)
    assert process.stderr is not None
    told = process.stderr.readline()
    assert told.startswith("aion: o: activity 'ship' (activity:0) is held for ")
    assert "after OSError: no lorry: have it tried again ('aion retry'), or supply" in told
    assert shop.aion("supply", "o", "activity:0", '"by hand"').code == 0
    done = finish(process)
    assert (done.code, done.out, done.err) == (0, '"by hand"\n', "")


def _wait_for_timer(shop: Shop) -> None:
    async def look() -> None:
        with trio.fail_after(20):
            async with aion.open_store(shop.url) as store:
                while await store.next_timer() is None:  # noqa: ASYNC110  # in another process
                    await trio.sleep(0.02)

    trio.run(look)


def test_what_the_engine_logs_is_shown_when_it_is_asked_for(shop: Shop) -> None:
    words = ("run", "app.py:checkout", "--input", '{"order": "bad"}', "--store", shop.url)
    quiet = aion_command(*words, cwd=shop.directory)
    assert quiet.error.startswith("aion: workflow ")
    loud = aion_command(*words, "--log-level", "warning", cwd=shop.directory)
    assert "WARNING aion_runtime: workflow " in loud.err
