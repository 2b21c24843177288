"""Log lines of workflow code: each is logged once, when what was done with it is durable."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from tests.runtime.messaging import MailBench, settled

go = aion.Signal("go", int)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "aion.workflow")
    return caplog


def lines(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.name == "aion.workflow"]


@aion.workflow
async def chatty() -> int:
    aion.logger.info("begun")
    value = await go.receive()
    aion.logger.info("received %d", value, extra={"value": value})
    return value


async def test_a_line_is_logged_with_its_run(log: pytest.LogCaptureFixture) -> None:
    bench = MailBench()
    async with bench.engine(chatty) as engine:
        handle = await engine.start(chatty, workflow_id="w")
        await handle.signal(go, 5)
        await handle.result()
        run_id = (await handle.describe()).run_id
    assert lines(log) == ["begun", "received 5"]
    records = [record for record in log.records if record.name == "aion.workflow"]
    assert {(record.workflow_id, record.run_id) for record in records} == {("w", run_id)}  # type: ignore[attr-defined]
    assert records[1].value == 5  # type: ignore[attr-defined]
    assert records[1].filename == "test_log_lines.py"
    assert records[1].funcName == "chatty"


async def test_no_line_is_logged_before_its_step_is_durable(log: pytest.LogCaptureFixture) -> None:
    bench = MailBench()
    async with bench.engine(chatty) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(chatty)
        gate = bench.store.hold(e.SignalReceived)
        nursery.start_soon(handle.signal, go, 5)
        await gate.reached.wait()
        await wait_all_tasks_blocked()
        assert lines(log) == ["begun"]
        gate.open()
        await handle.result()
    assert lines(log) == ["begun", "received 5"]


@pytest.mark.parametrize("fault", ["refuse", "lose_answer"])
async def test_a_line_is_logged_once_whatever_becomes_of_the_append(
    log: pytest.LogCaptureFixture, fault: str
) -> None:
    bench = MailBench()
    async with bench.engine(chatty) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(chatty)
        getattr(bench.store, fault)(e.SignalReceived)
        nursery.start_soon(handle.signal, go, 5)
        await wait_all_tasks_blocked()
        assert lines(log) == ["begun"]
        await bench.advance(1)
        await handle.result()
    assert lines(log) == ["begun", "received 5"]


@pytest.mark.parametrize("resident_bytes", [0, 1 << 30])
async def test_a_replay_is_silent(log: pytest.LogCaptureFixture, resident_bytes: int) -> None:
    bench = MailBench()
    async with bench.engine(chatty, resident_bytes=resident_bytes) as engine:
        await engine.start(chatty, workflow_id="w")
    async with bench.engine(chatty, resident_bytes=resident_bytes) as engine:
        engine._dispatcher.wake((await engine.describe("w")).workflow_id)
        await settled(engine)
        await engine.get("w").signal(go, 5)
        await engine.get("w").result()
    assert lines(log) == ["begun", "received 5"]


async def test_a_question_to_a_run_that_has_ended_is_silent(log: pytest.LogCaptureFixture) -> None:
    state = aion.Query("state", str)

    @aion.workflow
    async def asked() -> int:
        state.answer(lambda: "done")
        aion.logger.info("said once")
        return 1

    bench = MailBench()
    async with bench.engine(asked) as engine:
        handle = await engine.start(asked)
        await handle.result()
        assert await handle.query(state) == "done"
    assert lines(log) == ["said once"]


async def test_lines_of_a_step_that_sticks_are_dropped(log: pytest.LogCaptureFixture) -> None:
    @aion.workflow
    async def defective() -> int:
        await go.receive()
        aion.logger.info("said in vain")
        raise SystemExit("a defect")

    bench = MailBench()
    async with bench.engine(defective) as engine:
        handle = await engine.start(defective)
        await handle.signal(go, 1)
        await settled(engine)
    assert lines(log) == []


async def test_clean_up_of_a_run_that_is_thrown_away_is_silent(
    log: pytest.LogCaptureFixture,
) -> None:
    @aion.workflow
    async def tidy() -> int:
        try:
            return await go.receive()
        finally:
            aion.logger.info("tidied up")

    bench = MailBench()
    async with bench.engine(tidy, resident_bytes=0) as engine:
        handle = await engine.start(tidy, workflow_id="w")
        await engine.start(tidy, workflow_id="other")
        await settled(engine)
        assert lines(log) == []
        await handle.signal(go, 1)
        await handle.result()
        await engine.get("other").terminate()
    assert lines(log) == ["tidied up"]


async def test_lines_of_a_run_that_continues_are_logged_as_its_own(
    log: pytest.LogCaptureFixture,
) -> None:
    @aion.workflow
    async def renewing(generation: int) -> None:
        aion.logger.info("run %d", generation)
        if generation < 2:
            renewing.continue_as_new(generation + 1)

    bench = MailBench()
    async with bench.engine(renewing) as engine:
        await (await engine.start(renewing, 0, workflow_id="w")).result()
    assert lines(log) == ["run 0", "run 1", "run 2"]
    run_ids = [record.run_id for record in log.records if record.name == "aion.workflow"]  # type: ignore[attr-defined]
    starts = [event for event in await bench.history("w") if isinstance(event, e.WorkflowStarted)]
    assert run_ids == [event.run_id for event in starts]


async def test_a_level_that_nobody_wants_costs_no_record(caplog: pytest.LogCaptureFixture) -> None:
    @aion.workflow
    async def verbose() -> None:
        aion.logger.debug("a detail")
        aion.logger.error("an error")

    caplog.set_level(logging.WARNING, "aion.workflow")
    bench = MailBench()
    async with bench.engine(verbose) as engine:
        await (await engine.start(verbose)).result()
    assert lines(caplog) == ["an error"]


async def test_an_exception_is_logged_with_its_traceback(log: pytest.LogCaptureFixture) -> None:
    @aion.workflow
    async def failing() -> None:
        try:
            raise ValueError("no")
        except ValueError:
            aion.logger.exception("it went wrong")

    bench = MailBench()
    async with bench.engine(failing) as engine:
        await (await engine.start(failing)).result()
    assert lines(log) == ["it went wrong"]
    assert "ValueError: no" in log.text
    assert "test_log_lines.py" in log.text
