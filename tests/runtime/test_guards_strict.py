"""Strict activations refuse what differs from one replay to the next, and leave all else alone."""

from __future__ import annotations

import asyncio
import glob
import importlib
import io
import os
import random
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path

import pytest

import aion_runtime as aion
from aion_runtime.guard import Guard
from aion_runtime.guarding.names import CONVERSIONS, REPLACED
from aion_runtime.testing import run_workflow, test_engine
from tests.runtime.conftest import Bench

HERE = re.escape(__file__) + r", line \d+"
MISSING = Path(__file__).with_name("missing")


def found(name: str) -> object:
    """What a name of a module means now; None in a Python that has no such name."""
    module, _, path = name.partition(".")
    try:
        return attrgetter(path)(importlib.import_module(module))
    except AttributeError:
        return None


@pytest.fixture
def guard() -> Iterator[Guard]:
    strict = Guard(strict=True)
    with strict.in_force():
        yield strict


COUNTERPARTS = {
    "time.time": r"use aion_runtime\.now\(\)",
    "time.monotonic": r"use aion_runtime\.now\(\), or measure in an activity",
    "time.sleep": r"use aion_runtime\.sleep ",
    "random.random": r"use aion_runtime\.rng\(\)",
    "uuid.uuid4": r"use aion_runtime\.uuid4\(\)",
    "secrets.token_hex": r"draw it in aion_runtime\.side_effect, or in an activity",
    "os.urandom": r"draw it in aion_runtime\.side_effect, or in an activity",
    "threading.Thread.start": r"use aion_runtime\.open_nursery, or an activity",
}


@pytest.mark.parametrize("name", REPLACED)
def test_a_function_that_has_a_stand_in_is_refused_with_the_line(guard: Guard, name: str) -> None:
    function = found(name)
    if function is None:
        return
    assert callable(function)
    with guard(), pytest.raises(aion.WorkflowUsageError) as caught:
        function()
    message = str(caught.value)
    assert re.match(rf"{re.escape(name)} was used in a workflow \({HERE}\), where ", message)
    assert re.search(COUNTERPARTS.get(name, "aion_runtime"), message)


def test_no_function_of_random_is_forgotten() -> None:
    functions = [getattr(random, name) for name in random.__all__]
    bound = [
        each for each in functions if isinstance(getattr(each, "__self__", None), random.Random)
    ]
    assert bound
    assert {f"random.{each.__name__}" for each in bound} <= REPLACED.keys()


EVENTS: dict[str, tuple[str, Callable[[], object]]] = {
    "open": ("open", lambda: open(MISSING)),  # noqa: PTH123, SIM115
    "io.open": ("open", lambda: io.open(MISSING)),  # noqa: SIM115, UP020
    "os.open": ("open", lambda: os.open(MISSING, os.O_RDONLY)),
    "read_text": ("open", MISSING.read_text),
    "listdir": ("os.listdir", lambda: os.listdir(MISSING)),  # noqa: PTH208
    "scandir": ("os.scandir", lambda: os.scandir(MISSING)),
    "mkdir": ("os.mkdir", (MISSING / "inner").mkdir),
    "rename": ("os.rename", lambda: MISSING.rename(MISSING)),
    "remove": ("os.remove", MISSING.unlink),
    "chdir": ("os.chdir", lambda: os.chdir(MISSING)),
    "chmod": ("os.chmod", lambda: MISSING.chmod(0)),
    "environ": ("os.putenv", lambda: os.environ.update(AION_TEST="1")),
    "system": ("os.system", lambda: os.system("true")),
    "kill": ("os.kill", lambda: os.kill(os.getpid(), 0)),
    "fork": ("os.fork", lambda: os.fork() or os._exit(0)),
    "exec": ("os.exec", lambda: os.execv(MISSING, ["missing"])),
    "posix_spawn": ("os.posix_spawn", lambda: os.posix_spawn(MISSING, ["missing"], {})),
    "subprocess": ("subprocess.Popen", lambda: subprocess.run([MISSING], check=False)),
    "socket": ("socket.__new__", socket.socket),
    "getaddrinfo": ("socket.getaddrinfo", lambda: socket.getaddrinfo("127.0.0.1", 1)),
    "gethostname": ("socket.gethostname", socket.gethostname),
    "urlopen": ("urllib.Request", lambda: urllib.request.urlopen("http://127.0.0.1:1")),
    "sqlite3": ("sqlite3.connect", lambda: sqlite3.connect(":memory:")),
    "input": ("builtins.input", input),
    "mkdtemp": ("tempfile.mkdtemp", lambda: tempfile.mkdtemp(dir=MISSING)),
    "copyfile": ("shutil.copyfile", lambda: shutil.copyfile(MISSING, MISSING.parent)),
    "glob": ("glob.glob", lambda: glob.glob("missing")),  # noqa: PTH207
    "thread pool": ("threading.Thread.start", lambda: ThreadPoolExecutor(1).submit(int)),
}


@pytest.mark.parametrize("use", EVENTS)
def test_a_use_of_the_world_is_refused_with_the_line(guard: Guard, use: str) -> None:
    name, function = EVENTS[use]
    message = rf"{re.escape(name)} was used in a workflow \({HERE}\)"
    with guard(), pytest.raises(aion.WorkflowUsageError, match=message):
        function()


@pytest.mark.parametrize("name", CONVERSIONS)
def test_a_conversion_of_what_is_given_is_let_through(guard: Guard, name: str) -> None:
    function, instant = found(name), (time.gmtime(0) if "as" in name or "str" in name else 0)
    assert callable(function)
    with guard():
        assert function(*("%Y" for _ in range(CONVERSIONS[name] - 1)), instant)


def test_a_basic_guard_refuses_none_of_it(guard: Guard) -> None:
    with Guard()():
        assert time.time() > 0
        assert os.listdir()  # noqa: PTH208


def test_between_activations_nothing_is_refused(guard: Guard) -> None:
    with guard():
        pass
    assert time.time() > 0
    assert os.listdir()  # noqa: PTH208


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_error_ends_strictness_with_its_activation(
    guard: Guard, error: type[BaseException]
) -> None:
    with pytest.raises(error), guard():
        raise error
    assert time.time() > 0


def test_an_inner_activation_leaves_the_outer_one_strict(guard: Guard) -> None:
    with guard():
        with guard():
            pass
        with pytest.raises(aion.WorkflowUsageError):
            time.time()
    assert time.time() > 0


def test_entering_that_is_interrupted_leaves_nothing_strict(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(loop: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(asyncio.events, "_set_running_loop", interrupted)
    with pytest.raises(KeyboardInterrupt), guard():
        pytest.fail("it was entered")
    assert time.time() > 0


def test_lifted_allows_everything_and_takes_it_back(guard: Guard) -> None:
    with guard():
        with guard.lifted():
            assert time.time() > 0
            assert os.listdir()  # noqa: PTH208
        with pytest.raises(aion.WorkflowUsageError):
            time.time()


def test_an_error_in_what_is_lifted_takes_it_back(guard: Guard) -> None:
    with guard():
        with pytest.raises(ZeroDivisionError), guard.lifted():
            raise ZeroDivisionError
        with pytest.raises(aion.WorkflowUsageError):
            time.time()


def test_other_threads_go_on_unaffected(guard: Guard) -> None:
    go = threading.Event()

    def at_work() -> float:
        go.wait(5)
        return time.time() + random.random() + len(os.listdir())  # noqa: PTH208

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(at_work)
        with guard():
            go.set()
            assert working.result(5) > 0


def everything() -> dict[str, object]:
    return {name: found(name) for name in REPLACED}


def test_what_was_replaced_is_back_when_the_last_one_leaves() -> None:
    before = everything()
    with Guard(strict=True).in_force():
        with Guard(strict=True).in_force():
            pass
        replaced = [name for name, each in everything().items() if each is not before[name]]
        assert replaced == [name for name, each in before.items() if each is not None]
    assert everything() == before


def test_a_basic_guard_replaces_nothing() -> None:
    before = everything()
    with Guard().in_force():
        assert everything() == before


def test_what_another_has_replaced_meanwhile_is_left_to_him(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Guard(strict=True).in_force():
        monkeypatch.setattr(time, "time", float)
    assert time.time is float


def test_a_stand_in_that_was_kept_is_harmless_for_ever() -> None:
    with Guard(strict=True).in_force():
        kept = time.time
    assert kept() > 0


def uses_a_clock() -> float:
    return time.time()


@aion.workflow
async def clocked() -> float:
    return uses_a_clock()


@aion.workflow
async def clocked_later() -> float:
    await aion.sleep(1)
    return uses_a_clock()


@aion.workflow
async def recording() -> float:
    return await aion.side_effect(time.time, float)


@aion.workflow
async def answering() -> float:
    queried = aion.Query("clock", float)
    queried.answer(time.time)
    return 1.0


@aion.activity
def working() -> bool:
    return (
        time.time() > 0 and random.random() < 1 and bool(uuid.uuid4()) and MISSING.parent.is_dir()
    )


@aion.activity
async def working_async() -> bool:
    return working.fn()


@aion.workflow
async def delegating() -> list[bool]:
    return [await working(), await working_async()]


@pytest.mark.parametrize("workflow", [clocked, clocked_later])
async def test_a_run_that_is_refused_something_fails_with_the_line(
    workflow: aion.Workflow[[], float],
) -> None:
    line = uses_a_clock.__code__.co_firstlineno + 1
    with pytest.raises(aion.WorkflowFailedError) as caught:
        await run_workflow(workflow)
    assert caught.value.failure.type == "WorkflowUsageError"
    assert f"({__file__}, line {line})" in caught.value.failure.message


async def test_a_query_is_answered_strictly() -> None:
    async with test_engine(workflows=[answering]) as engine:
        run = await engine.start(answering)
        with pytest.raises(aion.QueryError, match=r"time\.time was used in a workflow"):
            await run.query(aion.Query("clock", float))


async def test_activities_and_side_effects_may_do_everything() -> None:
    assert await run_workflow(delegating) == [True, True]
    assert await run_workflow(recording) > 0


async def test_a_test_engine_may_be_lenient() -> None:
    async with test_engine(workflows=[clocked], dev_mode=False) as engine:
        assert await (await engine.start(clocked)).result() > 0


async def test_an_engine_is_lenient_unless_it_is_told_otherwise(bench: Bench) -> None:
    async with bench.engine(clocked) as engine:
        assert await (await engine.start(clocked)).result() > 0


async def test_an_engine_is_strict_when_the_environment_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AION_DEV", "1")
    async with bench.engine(clocked) as engine:
        with pytest.raises(aion.WorkflowFailedError, match=r"time\.time"):
            await (await engine.start(clocked)).result()


async def test_an_argument_counts_before_the_environment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AION_DEV", "1")
    async with bench.engine(clocked, dev_mode=False) as engine:
        assert await (await engine.start(clocked)).result() > 0


PROGRAM = """
import time, trio
import aion_runtime as aion

@aion.workflow
async def clocked() -> float:
    return time.time()

async def main() -> None:
    async with aion.open_engine("memory:", workflows=[clocked]) as engine:
        await (await engine.start(clocked)).result()

try:
    trio.run(main)
except aion.WorkflowFailedError as error:
    print(error.failure.message)
"""


def test_an_engine_is_strict_in_pythons_development_mode() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("time.time was used in a workflow (<string>, line 7)"), (
        done.stderr
    )


async def test_nothing_stays_replaced_after_a_crash_and_the_end() -> None:
    before = everything()
    async with test_engine(workflows=[delegating]) as engine:
        await engine.crash()
        assert time.time is not before["time.time"]
    assert everything() == before
