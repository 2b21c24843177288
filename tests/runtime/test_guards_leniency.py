"""What strict activations let through: what is for the host, and what they do not see."""

from __future__ import annotations

import ctypes
import gc
import importlib
import linecache
import logging
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from time import time as time_bound_before
from typing import TextIO

import pytest
import trio

import aion_runtime as aion
from aion_core.payloads import Payload, PayloadCodec, PayloadConverter
from aion_runtime.guard import Guard
from aion_runtime.testing import run_workflow
from tests.runtime.conftest import Bench

LIBC = ctypes.CDLL(None)
SYSTEM_RANDOM = random.SystemRandom()
STATE: list[int] = []


@pytest.fixture
def guard() -> Iterator[Guard]:
    strict = Guard(strict=True)
    with strict.in_force():
        yield strict


class Sealing(PayloadCodec):
    """As one that encrypts does, it takes random bytes."""

    def encode(self, payload: Payload) -> Payload:
        assert os.urandom(8)
        return Payload("sealed", payload.data)

    def decode(self, payload: Payload) -> Payload:
        return Payload("application/json", payload.data)


def test_a_module_is_imported_lazily(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lazy_neighbour.py").write_text("import time\nMADE_AT = time.time()\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with guard():
        import lazy_neighbour  # type: ignore[import-not-found]
    del sys.modules["lazy_neighbour"]
    assert lazy_neighbour.MADE_AT > 0


def test_printing_is_let_through(guard: Guard, capsys: pytest.CaptureFixture[str]) -> None:
    with guard():
        print("hello")
    assert capsys.readouterr().out == "hello\n"


def test_logging_is_let_through(guard: Guard, tmp_path: Path) -> None:
    handler = logging.FileHandler(tmp_path / "log", delay=True)
    log = logging.getLogger("tests.leniency")
    log.addHandler(handler)
    with guard():
        log.warning("hello")
    log.removeHandler(handler)
    handler.close()
    assert (tmp_path / "log").read_text() == "hello\n"


def test_a_traceback_is_formatted_with_its_lines(guard: Guard) -> None:
    linecache.clearcache()
    with guard():
        try:
            raise ValueError("no")
        except ValueError:
            text = traceback.format_exc()
    assert 'raise ValueError("no")' in text


def test_a_warning_is_formatted_with_its_line(guard: Guard) -> None:
    linecache.clearcache()
    line = test_a_warning_is_formatted_with_its_line.__code__.co_firstlineno
    with guard():
        text = warnings.formatwarning("careful", UserWarning, __file__, line)
    assert "def test_a_warning_is_formatted_with_its_line" in text


def test_finalisers_clean_up_wherever_garbage_is_collected(guard: Guard) -> None:
    class Scratch:
        def __del__(self) -> None:
            os.rmdir(second)  # noqa: PTH106

    first, second = tempfile.mkdtemp(), tempfile.mkdtemp()
    left, scratch = [], Scratch()
    left.append(scratch)
    weakref.finalize(scratch, os.rmdir, first)
    del scratch
    with guard():
        left.clear()
        gc.collect()
    assert not Path(first).exists()
    assert not Path(second).exists()


@pytest.mark.parametrize(
    "tool", ["pdb", "bdb", "pydevd", "_pydevd_bundle.pydevd_frame", "coverage.x"]
)
def test_tools_that_look_at_code_from_within_may_do_everything(guard: Guard, tool: str) -> None:
    with guard():
        exec("import os, time; time.time(), os.listdir()", {"__name__": tool})


def test_a_codec_may_take_random_bytes(guard: Guard) -> None:
    converter = PayloadConverter([Sealing()])
    with guard():
        assert converter.decode(converter.encode(7, int), int) == 7


@aion.workflow
async def chatty() -> str:
    try:
        raise ValueError("no")
    except ValueError:
        aion.logger.exception("caught")
    return f"{aion.now():%Y} {aion.rng().random():.3f} {aion.uuid4().version}"


async def test_what_aion_offers_instead_is_let_through(caplog: pytest.LogCaptureFixture) -> None:
    linecache.clearcache()
    year, drawn, version = (await run_workflow(chatty)).split()
    assert (year, version) == ("2030", "4")
    assert 0 <= float(drawn) < 1
    assert 'raise ValueError("no")' in caplog.text


def reads_an_open_file(file: TextIO) -> str:
    return file.read()


NOT_SEEN: dict[str, Callable[[], object]] = {
    "a name bound before": time_bound_before,
    "datetime.now": datetime.now,
    "random.Random": lambda: random.Random().random(),
    "SystemRandom": SYSTEM_RANDOM.random,
    "C code": lambda: LIBC.time(None),
    "environment variables": lambda: os.environ.get("PATH"),
    "whether a file exists": Path(__file__).exists,
    "the current directory": Path.cwd,
    "the process id": os.getpid,
    "the order of a set": lambda: list({"a", "b"}),
    "hash of a text": lambda: hash("a"),
    "id": lambda: id(STATE),
    "module-level state": lambda: STATE.append(1),
}


@pytest.mark.parametrize("use", NOT_SEEN)
def test_what_is_not_seen_passes(guard: Guard, use: str) -> None:
    with guard():
        NOT_SEEN[use]()


def test_a_file_that_was_opened_before_is_not_seen(guard: Guard) -> None:
    with Path(__file__).open() as file, guard():
        assert reads_an_open_file(file)


def test_a_thread_that_was_started_before_is_not_seen(guard: Guard) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        with guard():
            assert pool.submit(time.time).result() > 0


SHARED_EVENT = trio.Event()
SEND, RECEIVE = trio.open_memory_channel[int](1)


@aion.workflow
async def touching_trio() -> bool:
    SHARED_EVENT.set()
    trio.Event().set()
    SEND.send_nowait(1)
    return trio.Lock().locked()


async def test_primitives_of_trio_that_never_wait_are_not_seen(bench: Bench) -> None:
    async with bench.engine(touching_trio, dev_mode=True) as engine:
        assert await (await engine.start(touching_trio)).result() is False
    await SHARED_EVENT.wait()
    assert await RECEIVE.receive() == 1
