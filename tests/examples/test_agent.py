"""``examples/agent.py``: nothing dangerous without a person, nothing paid for twice."""

from __future__ import annotations

import pytest
import trio

import aion_runtime as aion
from aion_runtime.testing import TestEngine, replace, run_workflow, test_engine
from examples.agent import (
    MAX_TURNS,
    SCRIPT,
    Message,
    ToolCall,
    Verdict,
    agent,
    ask_model,
    decide,
    delete_files,
    list_files,
    waiting,
)
from tests.examples.fakes import HangsOn

MONTH = 30 * 24 * 3600


def scripted(*script: Message) -> HangsOn:
    def reply(messages: list[Message]) -> Message:
        return script[sum(message.role == "model" for message in messages)]

    return HangsOn(reply, range(0))


def told(model: HangsOn) -> list[str]:
    """What tools have told the model when it was asked last."""
    (messages,) = model.calls[-1]
    return [message.text for message in messages if message.role == "tool"]


async def started(engine: TestEngine) -> aion.WorkflowHandle[str]:
    """An agent that has come to its dangerous call."""
    run = await engine.start(agent, "Tidy up!")
    while not await run.query(waiting):
        await trio.lowlevel.checkpoint()
    return run


async def test_what_is_dangerous_is_not_done_before_it_is_allowed() -> None:
    deleting = HangsOn(lambda directory: "gone", range(0))
    async with test_engine(workflows=[agent]) as engine:
        with replace(delete_files, deleting):
            run = await started(engine)
            await engine.clock.advance(MONTH)
            assert deleting.calls == []
            await run.update(decide, Verdict("c3", allowed=True))
            assert await run.result() == "Done: I have tidied up."
    assert deleting.calls == [("/old",)]


async def test_the_model_is_told_that_a_person_refused() -> None:
    model = scripted(*SCRIPT)
    deleting = HangsOn(lambda directory: "gone", range(0))
    async with test_engine(workflows=[agent]) as engine:
        with replace(ask_model, model), replace(delete_files, deleting):
            run = await started(engine)
            await run.update(decide, Verdict("c3", allowed=False))
            await run.result()
    assert deleting.calls == []
    assert told(model)[-1] == "a person has refused this"


async def test_a_verdict_on_a_call_that_nobody_made_is_refused() -> None:
    async with test_engine(workflows=[agent]) as engine:
        run = await started(engine)
        with pytest.raises(aion.UpdateRejectedError, match="no call 'c9' waits for a verdict"):
            await run.update(decide, Verdict("c9", allowed=True))


async def test_no_answer_of_the_model_is_paid_for_twice() -> None:
    model = scripted(*SCRIPT)
    listing = HangsOn(lambda directory: "3 files", range(0))
    async with test_engine(workflows=[agent]) as engine:
        with replace(ask_model, model), replace(list_files, listing):
            run = await started(engine)
            await engine.crash()
            assert [call.id for call in await run.query(waiting)] == ["c3"]
            await run.update(decide, Verdict("c3", allowed=True))
            await run.result()
    assert len(model.calls) == len(SCRIPT)
    assert len(listing.calls) == 2


async def test_the_model_is_told_what_went_wrong_with_a_tool() -> None:
    model = scripted(
        Message("model", "", (ToolCall("c1", "list", "/"), ToolCall("c2", "fly", "/"))),
        Message("model", "I give up."),
    )

    async def broken(directory: str) -> str:
        raise aion.ApplicationError("no such disk", non_retryable=True)

    with replace(ask_model, model), replace(list_files, broken):
        assert await run_workflow(agent, "Tidy up!") == "I give up."
    assert "no such disk" in told(model)[0]
    assert "fly" in told(model)[1]


async def test_a_model_that_comes_to_no_end_is_stopped() -> None:
    model = scripted(*[Message("model", "", (ToolCall("c", "list", "/"),))] * (MAX_TURNS + 1))
    with replace(ask_model, model), pytest.raises(aion.WorkflowFailedError) as failed:
        await run_workflow(agent, "Tidy up!")
    assert failed.value.failure.type == "TooManyTurns"
    assert len(model.calls) == MAX_TURNS
