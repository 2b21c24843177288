"""Signals between runs: each is taken once, in the order in which one run sent them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import StoredMessage
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import SignalSentToRun
from aion_core.payloads import JSON, Payload
from aion_runtime.letters import signal_message
from tests.runtime.conftest import Fault
from tests.runtime.faults import FaultyStore
from tests.runtime.messaging import STORES, MailBench, opened, settled

go = aion.Signal("go", int)
start = aion.Signal("start", int)


@pytest.fixture(params=STORES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MailBench]:
    async with opened(request.param, tmp_path) as inner:
        yield MailBench(inner)


@aion.workflow
async def collecting(count: int) -> list[int]:
    return [await go.receive() for _ in range(count)]


@aion.workflow
async def sending(target: str, values: list[int]) -> None:
    for value in values:
        await go.send(target, value)


@aion.workflow
async def sending_in_steps(target: str, values: list[int]) -> None:
    """One at a time, each in a step of its own."""
    for value in values:
        await start.receive()
        await go.send(target, value)


async def test_a_run_signals_another(bench: MailBench) -> None:
    async with bench.engine(sending, collecting) as engine:
        receiver = await engine.start(collecting, 2, workflow_id="r")
        await (await engine.start(sending, "r", [1, 2], workflow_id="s")).result()
        assert await receiver.result() == [1, 2]
    assert await bench.kinds("s") == [
        e.WorkflowStarted,
        e.SignalSent,
        e.SignalSent,
        e.WorkflowCompleted,
    ]
    assert await bench.pending() == []


async def test_a_run_signals_itself(bench: MailBench) -> None:
    @aion.workflow
    async def narcissus() -> int:
        await go.send("w", 5)
        return await go.receive()

    async with bench.engine(narcissus) as engine:
        assert await (await engine.start(narcissus, workflow_id="w")).result() == 5
    assert await bench.pending() == []


async def test_a_signal_to_a_workflow_that_does_not_exist_yet_waits_for_it(
    bench: MailBench,
) -> None:
    async with bench.engine(sending, collecting) as engine:
        await (await engine.start(sending, "r", [1, 2])).result()
        await settled(engine)
        assert [message.target for message in await bench.pending()] == ["r", "r"]
        receiver = await engine.start(collecting, 2, workflow_id="r")
        assert await receiver.result() == [1, 2]
        assert len(engine._dispatcher._in_hand) == 0
    assert (await bench.kinds("r"))[:2] == [e.WorkflowStarted, e.SignalReceived]
    assert await bench.pending() == []


async def test_what_waits_for_a_workflow_comes_before_what_is_sent_when_it_starts(
    bench: MailBench,
) -> None:
    async with bench.engine(sending_in_steps, collecting) as engine:
        sender = await engine.start(sending_in_steps, "r", [1, 2], workflow_id="s")
        await sender.signal(start, 0)
        await settled(engine)
        gate = bench.store.hold(e.SignalSent)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.signal, start, 0)
            await gate.reached.wait()
            # When the second one has been written it meets the start in the mailbox.
            nursery.start_soon(_start, engine)
            await wait_all_tasks_blocked(0.01)
            gate.open()
        assert await engine.get("r").result() == [1, 2]


async def _start(engine: aion.Engine) -> None:
    await engine.start(collecting, 2, workflow_id="r")


@pytest.mark.parametrize("engines", [1, 2])
async def test_it_waits_through_any_number_of_engines(bench: MailBench, engines: int) -> None:
    async with bench.engine(sending, collecting) as engine:
        await (await engine.start(sending, "r", [1, 2])).result()
    for _ in range(engines):
        async with bench.engine(sending, collecting) as engine:
            await settled(engine)
    async with bench.engine(sending, collecting) as engine:
        assert await (await engine.start(collecting, 2, workflow_id="r")).result() == [1, 2]
    assert await bench.pending() == []


async def test_a_signal_to_a_workflow_that_has_ended_is_dropped(bench: MailBench) -> None:
    async with bench.engine(sending, collecting) as engine:
        receiver = await engine.start(collecting, 0, workflow_id="r")
        await receiver.result()
        await (await engine.start(sending, "r", [1])).result()
        await settled(engine)
        assert len(engine._dispatcher._in_hand) == 0
    assert await bench.kinds("r") == [e.WorkflowStarted, e.WorkflowCompleted]
    assert await bench.pending() == []


async def test_a_signal_that_comes_with_the_end_is_dropped_and_nothing_is_left(
    bench: MailBench,
) -> None:
    async with bench.engine(sending, collecting) as engine:
        await engine.start(collecting, 1, workflow_id="r")
        await (await engine.start(sending, "r", [1, 2])).result()
        assert await engine.get("r").result() == [1]
        await settled(engine)
    assert await bench.pending() == []


async def test_a_signal_to_a_stuck_run_waits_until_it_goes_on(bench: MailBench) -> None:
    works: list[int] = []

    @aion.workflow
    async def fragile() -> int:
        value = await go.receive()
        if not works:
            raise SystemExit("a defect")
        return value + await go.receive()

    async with bench.engine(sending, fragile) as engine:
        await engine.start(fragile, workflow_id="r")
        await (await engine.start(sending, "r", [1, 2])).result()
        await settled(engine)
        assert len(await bench.pending()) == 2
    works.append(1)
    async with bench.engine(sending, fragile) as engine:
        assert await engine.get("r").result() == 3
    assert await bench.pending() == []


async def test_two_runs_send_to_each_other(bench: MailBench) -> None:
    @aion.workflow
    async def player(other: str, rounds: int, serves: bool) -> int:
        value = 0
        for _ in range(rounds):
            if serves:
                await go.send(other, value + 1)
            value = await go.receive()
            if not serves:
                await go.send(other, value + 1)
        return value

    async with bench.engine(player) as engine:
        first = await engine.start(player, "b", 5, True, workflow_id="a")
        second = await engine.start(player, "a", 5, False, workflow_id="b")
        assert [await first.result(), await second.result()] == [10, 9]
    assert await bench.pending() == []


async def test_a_value_that_does_not_fit_its_receiver_is_dropped_there(
    bench: MailBench, caplog: pytest.LogCaptureFixture
) -> None:
    words = aion.Signal("go", str)

    @aion.workflow
    async def babbling() -> None:
        await words.send("r", "seven")
        await go.send("r", 7)

    async with bench.engine(babbling, collecting) as engine:
        receiver = await engine.start(collecting, 1, workflow_id="r")
        await engine.start(babbling)
        assert await receiver.result() == [7]
    assert "dropped a signal 'go' that fits no receiver" in caplog.text


@pytest.mark.parametrize("name", ["held", "refused", "lost"])
@pytest.mark.parametrize("kind", [e.SignalSent, e.SignalReceived])
async def test_whatever_goes_wrong_a_signal_is_taken_once(
    name: str, kind: type[e.HistoryEvent]
) -> None:
    bench = MailBench()
    fault = Fault(name, bench)
    async with bench.engine(sending, collecting) as engine, trio.open_nursery() as nursery:
        receiver = await engine.start(collecting, 3, workflow_id="r")
        fault.arm(kind)
        nursery.start_soon(fault.heal_when_struck)
        await engine.start(sending, "r", [1, 2, 3])
        assert await receiver.result() == [1, 2, 3]
        await settled(engine)
        assert len(engine._dispatcher._in_hand) == 0
    assert await bench.pending() == []


@pytest.mark.parametrize("kind", [e.WorkflowStarted, e.SignalReceived])
async def test_a_signal_that_waited_is_not_lost_with_the_append_that_lets_it_in(
    kind: type[e.HistoryEvent],
) -> None:
    bench = MailBench()
    async with bench.engine(sending, collecting) as engine, trio.open_nursery() as nursery:
        await (await engine.start(sending, "r", [1, 2])).result()
        fault = Fault("refused", bench)
        fault.arm(kind)
        nursery.start_soon(fault.heal_when_struck)
        receiver = await engine.start(collecting, 2, workflow_id="r")
        assert await receiver.result() == [1, 2]
    assert await bench.pending() == []


async def test_a_message_that_cannot_be_read_is_left_and_the_others_go_on(
    bench: MailBench, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench.engine(sending, collecting) as engine:
        await (await engine.start(sending, "r", [1])).result()
    (message,) = await bench.pending()

    broken = attrs.evolve(message, message_id="broken", body=Payload(JSON, b"[]"))
    await bench.store.inner.post(broken)
    async with bench.engine(sending, collecting) as engine:
        assert await (await engine.start(collecting, 1, workflow_id="r")).result() == [1]
    assert "it is left in the store" in caplog.text
    assert [each.message_id for each in await bench.pending()] == ["broken"]


async def test_messages_of_more_than_a_page_arrive_in_order(bench: MailBench) -> None:
    values = list(range(1200))
    async with bench.engine(sending, collecting) as engine:
        await (await engine.start(sending, "r", values)).result()
    async with bench.engine(sending, collecting) as engine:
        receiver = await engine.start(collecting, len(values), workflow_id="r")
        assert await receiver.result() == values
    assert await bench.pending() == []


async def test_a_signal_out_of_the_past_is_known_again(bench: MailBench) -> None:
    """A message that is posted a second time, as by a store that lost it and was restored."""
    async with bench.engine(sending, collecting) as engine:
        await (await engine.start(sending, "r", [1])).result()
        await settled(engine)
    (message,) = await bench.pending()
    async with bench.engine(sending, collecting) as engine:
        receiver = await engine.start(collecting, 2, workflow_id="r")
        await settled(engine)
        await bench.store.inner.post(message)
    async with bench.engine(sending, collecting) as engine:
        await settled(engine)
        await receiver_of(engine).signal(go, 2)
        assert await receiver_of(engine).result() == [1, 2]
    assert await bench.pending() == []
    assert receiver.workflow_id == "r"


def receiver_of(engine: aion.Engine) -> aion.WorkflowHandle[list[int]]:
    return engine.get(WorkflowId("r"))


@pytest.mark.parametrize("signal", ["go", aion.Query("go", int), 5])
async def test_something_else_than_a_signal_is_refused(signal: Any) -> None:
    bench = MailBench()
    async with bench.engine(collecting) as engine:
        handle = await engine.start(collecting, 1)
        with pytest.raises(aion.WorkflowUsageError, match="signal takes a Signal, not"):
            await handle.signal(signal, 1)


@pytest.mark.parametrize("signal_id", ["", "a\nb", 5])
async def test_an_id_that_cannot_be_one_is_refused(signal_id: Any) -> None:
    bench = MailBench()
    async with bench.engine(collecting) as engine:
        handle = await engine.start(collecting, 1)
        with pytest.raises(aion.InvalidIdError, match="non-empty printable text"):
            await handle.signal(go, 1, signal_id=signal_id)


@pytest.mark.parametrize("workflow_id", ["", " w", "a\nb", "x" * 256, 5])
async def test_a_target_that_cannot_be_a_workflow_is_refused(workflow_id: Any) -> None:
    bench = MailBench()
    async with bench.engine(collecting) as engine:
        with pytest.raises(aion.InvalidIdError):
            engine.get(workflow_id)


class SlowPages(FaultyStore):
    """Whatever can happen happens before the second page of messages is read."""

    async def messages(self, after: int = 0, limit: int = 1000) -> Sequence[StoredMessage]:
        if after:
            await wait_all_tasks_blocked()
        return await super().messages(after, limit)


async def test_what_a_run_sent_before_is_not_overtaken_while_messages_are_read() -> None:
    bench = MailBench()
    bench.store = SlowPages()

    async def post(target: str, number: int) -> None:
        signal = SignalSentToRun(name="start", payload=Payload(JSON, b"0"), signal_id=f"{number}")
        message = signal_message(WorkflowId(target), signal, bench.clock.now())
        await bench.store.post(message)

    async with bench.engine(sending_in_steps, collecting) as engine:
        sender = await engine.start(sending_in_steps, "r", [1, 2], workflow_id="s")
        # From another process, and so it is found by the next engine only.
        await post("s", 0)
        for number in range(1000):
            await post("nobody", number)
        await sender.signal(start, 0)
        await settled(engine)
    async with bench.engine(sending_in_steps, collecting) as engine:
        await settled(engine)
        receiver = await engine.start(collecting, 2, workflow_id="r")
        assert await receiver.result() == [1, 2]
