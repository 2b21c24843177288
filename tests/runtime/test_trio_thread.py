"""Trio in a thread: whoever no longer waits for a call ends the task that makes it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import pytest
import trio

from aion_core.errors import EngineStoppedError
from aion_runtime.trio_thread import TrioThread

COLOUR: ContextVar[str] = ContextVar("colour", default="none")


class Place:
    """What is open in the thread."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.cancelled = threading.Event()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[str]:
        self.colour = COLOUR.get()
        yield "open"

    async def wait(self) -> None:
        self.entered.set()
        try:
            await trio.sleep_forever()
        finally:
            self.cancelled.set()


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def thread(place: Place) -> Iterator[TrioThread[str]]:
    thread = TrioThread(place.opened(), "client")
    yield thread
    thread.stop().result(60)
    thread.join()


def test_a_cancelled_call_ends_its_task(thread: TrioThread[str], place: Place) -> None:
    assert thread.start().result(60) == "open"
    call = thread.call(place.wait)
    assert place.entered.wait(60)
    call.cancel()
    assert place.cancelled.wait(60)


def test_a_call_that_waits_as_it_is_stopped_is_told(thread: TrioThread[str], place: Place) -> None:
    thread.start().result(60)
    call = thread.call(place.wait)
    assert place.entered.wait(60)
    thread.stop()
    with pytest.raises(EngineStoppedError, match="the client has stopped"):
        call.result(60)


def test_context_variables_are_seen_as_they_were_at_the_start_and_at_the_call(
    thread: TrioThread[str], place: Place
) -> None:
    async def colour() -> str:
        return COLOUR.get()

    token = COLOUR.set("red")
    thread.start().result(60)
    COLOUR.reset(token)
    assert (place.colour, thread.call(colour).result(60)) == ("red", "none")
