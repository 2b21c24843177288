"""Why a run does not go on: from the store alone, and with an engine's word."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import trio

import aion_runtime as aion
from aion_core.contracts import Message, RunRef, message_id_of
from aion_core.ids import RunId, WorkflowId
from aion_core.machine.waits import Wait
from aion_core.payloads import JSON, Payload
from aion_runtime.explaining import Explanation, explain_run
from aion_runtime.wording import PendingFor, in_words, sentence
from tests.runtime.conftest import Bench

approval = aion.Signal("approval", bool)
go = aion.Signal("go", int)


@aion.activity(retry=aion.RetryPolicy(max_attempts=3, initial_interval=60))
async def declined() -> None:
    raise ValueError("no funds")


@aion.activity(retry=aion.RetryPolicy(max_attempts=1, on_exhausted="pause"))
async def held() -> None:
    raise ValueError("no funds")


@aion.activity
async def endless() -> None:
    await trio.sleep_forever()


@aion.workflow
async def waiting() -> None:
    async with aion.open_nursery() as nursery:
        nursery.start_soon(aion.sleep, 3600)
        nursery.start_soon(approval.receive)
        await aion.wait_until(lambda: False)


@aion.workflow
async def retrying() -> None:
    await declined()


@aion.workflow
async def paused() -> None:
    await held()


@aion.workflow
async def running() -> None:
    await endless()


@aion.activity(limit=aion.Limit("one", concurrency=1))
async def crowded() -> None:
    await trio.sleep_forever()


@aion.workflow
async def crowding() -> None:
    await aion.gather(crowded(), crowded())


@aion.workflow
async def parent() -> None:
    await waiting()


@aion.workflow
async def only_signal() -> int:
    return await go.receive()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def explained(bench: Bench, *, later: float = 0) -> Explanation:
    """By the store alone, so many seconds later."""
    now = bench.clock.now() + timedelta(seconds=later)
    return await explain_run(bench.store, WorkflowId("w"), now)


async def left(bench: Bench, workflow: aion.Workflow[[], object]) -> None:
    """Start it, let it go as far as it can, and stop the engine."""
    async with bench.engine(waiting, workflow) as engine:
        await engine.start(workflow, workflow_id="w")
        await bench.advance(0)


def kinds(explanation: Explanation) -> Sequence[str]:
    return [wait.kind for wait in explanation.waits]


async def test_an_engine_tells_signals_and_conditions_with_their_lines(bench: Bench) -> None:
    async with bench.engine(waiting) as engine:
        run = await engine.start(waiting, workflow_id="w")
        explanation = await run.explain()
    assert kinds(explanation) == ["timer", "condition", "signal"]
    condition, signal = explanation.waits[1:]
    assert signal.name == "approval"
    file, _, line = condition.place.rpartition(":")
    assert file == __file__
    assert int(line) == waiting.fn.__code__.co_firstlineno + 5
    assert explanation.engine == "answered"


async def test_the_store_alone_tells_timers_and_when_they_fire(bench: Bench) -> None:
    await left(bench, waiting)
    explanation = await explained(bench, later=60)
    (timer,) = explanation.waits
    assert timer.kind == "timer"
    assert explanation.next_at == timer.next_at == bench.clock.now() + timedelta(hours=1)
    assert timer.since == bench.clock.now()
    assert explanation.sentences()[0].startswith("timer 'timer:0/0' fires in 59 min, at ")


async def test_the_next_attempt_has_its_time_and_the_failure_before(bench: Bench) -> None:
    await left(bench, retrying)
    explanation = await explained(bench)
    (retry,) = explanation.waits
    assert (retry.kind, retry.attempt, retry.failure) == ("retry", 2, "ValueError: no funds")
    assert explanation.next_at == bench.clock.now() + timedelta(minutes=1)
    assert "attempt 2 of activity" in str(explanation)
    assert "begins in 1 min" in str(explanation)


async def test_an_attempt_that_is_due_counts_as_open(bench: Bench) -> None:
    await left(bench, retrying)
    (activity,) = (await explained(bench, later=90)).waits
    assert (activity.kind, activity.attempt, activity.next_at) == ("activity", 2, None)
    assert activity.since == bench.clock.now() + timedelta(minutes=1)


async def test_a_held_activity_asks_for_an_operator(bench: Bench) -> None:
    await left(bench, paused)
    explanation = await explained(bench, later=10)
    assert kinds(explanation) == ["held"]
    assert str(explanation) == (
        "activity 'held' (activity:0) is held for 10 s, after ValueError: no funds: have it tried "
        "again ('aion retry'), or supply its outcome ('aion supply')"
    )


async def test_what_runs_is_told_as_running_by_its_engine(bench: Bench) -> None:
    async with bench.engine(running) as engine:
        run = await engine.start(running, workflow_id="w")
        assert "is running for 0 s, attempt 1" in str(await run.explain())
    assert "is open for 0 s, attempt 1" in str(await explained(bench))


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_who_waits_for_a_limit_is_told_apart_from_who_runs(
    bench: Bench, elsewhere: bool
) -> None:
    async with bench.engine(crowding) as engine, aion.open_client(bench.store) as client:
        await engine.start(crowding, workflow_id="w")
        await bench.advance(0)
        explanation = await (client if elsewhere else engine).explain("w")
        assert [wait.is_running for wait in explanation.waits] == [True, False]
        first, second = explanation.sentences()
        assert "(activity:0/0) is running for 0 s" in first
        assert "(activity:1/0) is due, and waits for limit 'one' to let it begin, for 0 s" in second
    by_the_store = str(await explained(bench))
    assert by_the_store.count("is open, or waits for limit 'one' to let it begin,") == 2


async def test_who_waits_for_the_total_of_the_engine_is_told_so(bench: Bench) -> None:
    async with bench.engine(running, activity_limit=1) as engine:
        await engine.start(running, workflow_id="first")
        await bench.advance(0)
        run = await engine.start(running, workflow_id="w")
        assert "is due, and waits for its turn, for 0 s" in str(await run.explain())


async def test_an_engine_that_does_not_say_what_runs_leaves_it_open(bench: Bench) -> None:
    async def no_waits() -> list[Wait]:
        return []

    async def unknown() -> list[str]:
        raise aion.QueryError("w has no query 'aion.begun'")

    await left(bench, running)
    explanation = await explain_run(
        bench.store, WorkflowId("w"), bench.clock.now(), no_waits, unknown
    )
    assert "is running, or waits for its turn, for 0 s" in str(explanation)


async def test_a_child_is_told_with_its_status(bench: Bench) -> None:
    await left(bench, parent)
    (child,) = (await explained(bench)).waits
    assert (child.kind, child.status) == ("child", "Running")
    assert child.id != "w"


async def test_without_an_engine_a_signal_cannot_be_known(bench: Bench) -> None:
    await left(bench, only_signal)
    explanation = await explained(bench)
    assert explanation.waits == ()
    assert str(explanation) == "it waits for what only its code knows: a signal, or a condition"


async def test_a_timer_long_due_says_that_no_engine_runs(bench: Bench) -> None:
    await left(bench, waiting)
    assert not (await explained(bench, later=3601)).overdue
    late = await explained(bench, later=3700)
    assert late.overdue
    assert "no engine seems to run on this store" in str(late)
    assert "was due 1 min 40 s ago" in str(late)


async def test_messages_that_wait_are_counted_by_kind(bench: Bench) -> None:
    await left(bench, waiting)
    target = WorkflowId("w")
    for seq in (1, 2):
        source = RunRef(WorkflowId("other"), RunId("r"), seq)
        await bench.store.post(
            Message(
                message_id=message_id_of("signal", source, target),
                kind="signal",
                target=target,
                body=Payload(JSON, b"{}"),
                posted_at=bench.clock.now(),
                source=source,
            )
        )
    explanation = await explained(bench, later=5)
    assert explanation.messages == {"signal": 2}
    assert explanation.overdue
    assert "messages to it wait in the store (2 × signal)" in str(explanation)


async def test_a_client_that_nobody_answers_says_so(bench: Bench) -> None:
    await left(bench, waiting)
    async with aion.open_client(bench.store, answer_timeout=0, clock=bench.clock) as client:
        explanation = await client.explain("w")
    assert explanation.engine == "silent"
    assert explanation.messages == {}
    assert "no engine has answered" in str(explanation)


async def test_a_delayed_start_waits_for_its_time(bench: Bench) -> None:
    async with bench.engine(waiting) as engine:
        run = await engine.start(waiting, workflow_id="w", delay=120)
        explanation = await run.explain()
    assert kinds(explanation) == ["start"]
    assert explanation.sentences()[0].startswith("its start, ")


async def test_an_ended_run_waits_for_nothing(bench: Bench) -> None:
    async with bench.engine(waiting) as engine:
        run = await engine.start(waiting, workflow_id="w")
        await run.terminate("enough")
        explanation = await run.explain()
    assert explanation.waits == ()
    assert str(explanation) == "it has ended (Terminated): enough; it waits for nothing"


async def test_a_stuck_run_says_why(bench: Bench) -> None:
    await left(bench, only_signal)
    async with bench.engine(waiting) as engine:
        with pytest.raises(aion.WorkflowStuckError):
            await engine.get("w").result()
        explanation = await engine.explain("w")
    assert explanation.stuck
    assert str(explanation).startswith("it is stuck: this engine has no workflow")


async def test_an_unknown_id_is_an_error(bench: Bench) -> None:
    with pytest.raises(aion.WorkflowNotFoundError):
        await explained(bench)


async def test_a_run_is_not_changed_by_being_asked(bench: Bench) -> None:
    async with bench.engine(waiting) as engine:
        run = await engine.start(waiting, workflow_id="w")
        before = await run.history()
        await run.explain()
        assert await run.history() == before


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3725, "1 h 2 min"), (190_000, "2 d 4 h")],
)
def test_a_span_is_said_in_its_two_largest_units(seconds: int, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words


def test_a_task_is_told_only_by_its_line(bench: Bench) -> None:
    wait = PendingFor(kind="task", name="", place="a.py:3")
    assert sentence(wait, bench.clock.now(), "answered") == "its code stands, at a.py:3"
