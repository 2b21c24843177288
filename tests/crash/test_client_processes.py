"""Clients in another process than the engine, which is killed while they wait."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from tests.crash.serving import add, collecting, number, seen

ROOT = Path(__file__).resolve().parents[2]
SEED = 20_261
NUMBERS = 12


class Engines:
    """A process with an engine, and after a kill the next one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._process: subprocess.Popen[str] | None = None

    async def begin(self) -> None:
        """Return when the engine is open."""
        assert await trio.to_thread.run_sync(self._begin) == "open\n"

    def _begin(self) -> str:
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.serving", self._url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        return process.stdout.readline()

    def freeze(self) -> None:
        """From now on it does nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()

    def close(self) -> None:
        self.kill()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/aion.db"


@asynccontextmanager
async def served(url: str) -> AsyncIterator[tuple[Engines, aion.Client]]:
    with closing(Engines(url)) as engines:
        await engines.begin()
        async with aion.open_client(url, workflows=[collecting]) as client:
            yield engines, client


async def test_every_verb_reaches_the_engine_of_another_process(url: str) -> None:
    async with served(url) as (_, client):
        run = await client.start(collecting, 3, workflow_id="w", attributes={"kind": "test"})
        await run.signal(number, 1)
        assert await run.update(add, 2) == 2
        assert await run.query(seen) == [1, 2]
        assert (await run.describe()).status is aion.WorkflowStatus.RUNNING
        assert "number" in str(await run.explain())
        await run.signal(number, 3)
        assert await run.result() == [1, 2, 3]
        assert await run.query(seen) == [1, 2, 3]

        named = await client.start_named("collecting", {"count": 1}, workflow_id="named")
        await named.cancel("enough")
        with pytest.raises(aion.WorkflowFailedError, match="enough"):
            await named.result()
        ended = await client.start_named("collecting", {"count": 1}, workflow_id="ended")
        await ended.terminate("over")
        with pytest.raises(aion.WorkflowFailedError, match="over"):
            await ended.result()
        with pytest.raises(aion.WorkflowClosedError):
            await run.supply("keep-1", 1)

        assert await client.count() == 3
        page = await client.list_runs(aion.RunFilter(attributes={"kind": "test"}))
        assert [each.workflow_id for each in page.runs] == ["w"]
        events = client.events(aion.RunFilter(text="ended"))
        kinds = [type((await anext(events)).event) for _ in range(2)]
        assert kinds == [e.WorkflowStarted, e.WorkflowTerminated]


async def test_what_is_asked_of_an_engine_that_is_killed_is_answered_by_the_next(url: str) -> None:
    async with served(url) as (engines, client), trio.open_nursery() as nursery:
        run = await client.start(collecting, 3, workflow_id="w")
        engines.freeze()
        answers: list[object] = []

        async def ask() -> None:
            await run.signal(number, 1)
            answers.append(await run.update(add, 2))
            answers.append(await run.query(seen))

        nursery.start_soon(ask)
        await trio.sleep(0.1)
        engines.kill()
        assert answers == []
        await engines.begin()
        await _until(lambda: len(answers) == 2)
        assert answers == [2, [1, 2]]


async def test_what_no_engine_takes_in_time_is_an_error_and_is_done_later(url: str) -> None:
    async with served(url) as (engines, client):
        await client.start(collecting, 1, workflow_id="w")
        engines.kill()
        async with aion.open_client(url, answer_timeout=0.1) as hasty:
            with pytest.raises(aion.NoAnswerError, match="kept in the store") as raised:
                await hasty.get("w").signal(number, 7)
            assert (raised.value.workflow_id, raised.value.seconds) == ("w", 0.1)
        await engines.begin()
        assert await client.get("w").result() == [7]


async def test_what_is_sent_again_until_it_is_answered_is_taken_once(url: str) -> None:
    random_ = random.Random(SEED)
    async with served(url) as (engines, client):
        run = await client.start(collecting, NUMBERS, workflow_id="w")
        async with aion.open_client(url, answer_timeout=0.3) as hasty:
            done = 0

            async def send() -> None:
                nonlocal done
                for value in range(NUMBERS):
                    while True:
                        try:
                            if value % 2:
                                await hasty.get("w").signal(number, value, signal_id=f"s{value}")
                            else:
                                await hasty.get("w").update(add, value, update_id=f"u{value}")
                            break
                        except aion.NoAnswerError:
                            pass
                    done += 1

            async def kill_now_and_then() -> None:
                for _ in range(2):
                    await trio.sleep(random_.uniform(0.05, 0.3))
                    engines.kill()
                    await engines.begin()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(kill_now_and_then)
                nursery.start_soon(send)
            assert done == NUMBERS
        assert sorted(await run.result()) == list(range(NUMBERS))
        history = await run.history()
        signals = Counter(each.signal_id for each in history if isinstance(each, e.SignalReceived))
        updates = Counter(each.update_id for each in history if isinstance(each, e.UpdateAccepted))
        assert signals == {f"s{value}": 1 for value in range(1, NUMBERS, 2)}
        assert updates == {f"u{value}": 1 for value in range(0, NUMBERS, 2)}
    async with aion.open_store(url) as store:
        assert [each async for each in store.all_messages()] == []


async def _until(is_so: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not is_so():  # noqa: ASYNC110  # of another process nobody tells
            await trio.sleep(0.02)
