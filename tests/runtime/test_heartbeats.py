"""How often heartbeats are written: at once, and then once a second, the last details each time."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core.errors import StoreUnavailableError
from aion_runtime.testing import test_engine
from tests.runtime.conftest import Bench


class Speaks:
    """Activities that send a heartbeat whenever the test says so."""

    def __init__(self) -> None:
        self.says: dict[str, trio.MemorySendChannel[int]] = {}

        @aion.activity
        async def speak(name: str) -> None:
            self.says[name], heard = trio.open_memory_channel[int](1000)
            async for details in heard:
                aion.heartbeat(details)

        @aion.workflow
        async def caller(names: str) -> None:
            await aion.gather(*(speak(name) for name in names))

        self.caller = caller

    async def say(self, name: str, *details: int) -> None:
        for each in details:
            await self.says[name].send(each)
        await wait_all_tasks_blocked()

    def end(self) -> None:
        for channel in self.says.values():
            channel.close()


async def test_the_first_is_written_at_once_and_the_last_of_a_second_after_it(
    bench: Bench,
) -> None:
    speaks = Speaks()
    async with bench.engine(speaks.caller) as engine:
        await engine.start(speaks.caller, "a")
        await wait_all_tasks_blocked()
        await speaks.say("a", 1)
        assert bench.store.heartbeats == [b"1"]
        await speaks.say("a", 2, 3)
        await bench.advance(0.99)
        assert bench.store.heartbeats == [b"1"]
        await bench.advance(0.01)
        assert bench.store.heartbeats == [b"1", b"3"]
        await bench.advance(10)
        await speaks.say("a", 4)
        assert bench.store.heartbeats == [b"1", b"3", b"4"]
        speaks.end()


async def test_one_activity_does_not_wait_for_the_second_of_another(bench: Bench) -> None:
    speaks = Speaks()
    async with bench.engine(speaks.caller) as engine:
        await engine.start(speaks.caller, "ab")
        await wait_all_tasks_blocked()
        await speaks.say("a", 1, 2)
        await speaks.say("a", 3)
        await speaks.say("b", 10)
        assert b"10" in bench.store.heartbeats
        assert b"3" not in bench.store.heartbeats
        speaks.end()


async def test_of_ten_thousand_in_a_second_two_are_written(bench: Bench) -> None:
    speaks = Speaks()
    async with bench.engine(speaks.caller) as engine:
        await engine.start(speaks.caller, "a")
        await wait_all_tasks_blocked()
        await speaks.say("a", *range(5_000))
        await bench.advance(0.5)
        await speaks.say("a", *range(5_000, 10_000))
        await bench.advance(0.5)
        assert len(bench.store.heartbeats) == 2
        assert bench.store.heartbeats[-1] == b"9999"
        speaks.end()


async def test_nothing_is_written_of_an_activity_that_has_ended(bench: Bench) -> None:
    speaks = Speaks()
    async with bench.engine(speaks.caller) as engine:
        run = await engine.start(speaks.caller, "a")
        await wait_all_tasks_blocked()
        await speaks.say("a", 1)
        await speaks.say("a", 2)
        speaks.end()
        await run.result()
        await bench.advance(5)
    assert bench.store.heartbeats == [b"1"]


async def test_what_is_said_in_the_last_second_is_written_when_the_engine_stops(
    bench: Bench,
) -> None:
    speaks = Speaks()
    async with bench.engine(speaks.caller, shutdown_grace=0) as engine:
        await engine.start(speaks.caller, "ab")
        await wait_all_tasks_blocked()
        for name, number in (("a", 1), ("b", 10), ("a", 2), ("a", 3), ("b", 11)):
            await speaks.say(name, number)
    assert sorted(bench.store.heartbeats) == [b"1", b"10", b"11", b"3"]


async def test_what_is_said_on_being_cancelled_by_the_stop_is_written_too(bench: Bench) -> None:
    @aion.activity
    async def copy() -> None:
        aion.heartbeat("begun")
        try:
            await trio.sleep_forever()
        finally:
            aion.heartbeat("at page 7")

    @aion.workflow
    async def caller() -> None:
        await copy()

    async with bench.engine(caller, shutdown_grace=0) as engine:
        await engine.start(caller)
        await wait_all_tasks_blocked()
    assert bench.store.heartbeats == [b'"begun"', b'"at page 7"']


async def test_a_store_that_is_gone_does_not_hold_up_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aion_runtime.heartbeats.LAST_WORDS_S", 0.05)
    speaks = Speaks()
    with trio.fail_after(10):
        async with test_engine(workflows=[speaks.caller]) as engine:
            await engine.start(speaks.caller, "a")
            await wait_all_tasks_blocked()
            await speaks.say("a", 1)
            await speaks.say("a", 2)
            await engine.crash()


async def test_nothing_is_kept_of_an_attempt_that_nobody_wants_any_more(bench: Bench) -> None:
    begun, go, said = threading.Event(), threading.Event(), threading.Event()

    @aion.activity
    def stubborn() -> None:
        begun.set()
        go.wait()
        with suppress(aion.Cancelled):
            aion.heartbeat("still here")
        said.set()

    @aion.workflow
    async def caller() -> None:
        await stubborn()

    async with bench.engine(caller) as engine:
        run = await engine.start(caller)
        assert await trio.to_thread.run_sync(begun.wait, 5)
        await run.terminate("enough")
        go.set()
        assert await trio.to_thread.run_sync(said.wait, 5)
        await wait_all_tasks_blocked()
        assert bench.store.heartbeats == []


async def test_one_that_could_not_be_written_is_followed_by_the_next(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    speaks = Speaks()
    bench.store.unkept.append(StoreUnavailableError("the disk is full"))
    async with bench.engine(speaks.caller) as engine:
        await engine.start(speaks.caller, "a")
        await wait_all_tasks_blocked()
        await speaks.say("a", 1)
        await speaks.say("a", 2)
        await bench.advance(1)
        speaks.end()
    assert bench.store.heartbeats == [b"2"]
    assert "was not kept: the disk is full" in caplog.text
