"""An agent: a model says which tools to use, the workflow uses them and tells it what came of it.

    python examples/agent.py              # in a temporary store
    python examples/agent.py agent.db     # in a file that stays

Each answer of the model, and each use of a tool, is an activity: once recorded it is not paid for
or done again. What is dangerous waits for a person. The model here is a script; call a real one.
"""

import sys
import tempfile

import attrs
import trio

import aion_runtime as aion


@attrs.frozen
class ToolCall:
    id: str
    tool: str
    argument: str


@attrs.frozen
class Message:
    role: str
    text: str
    calls: tuple[ToolCall, ...] = ()
    answers: str | None = None  # the id of a call


@attrs.frozen
class Verdict:
    call_id: str
    allowed: bool


SCRIPT = (
    Message("model", "", (ToolCall("c1", "list", "/"), ToolCall("c2", "list", "/old"))),
    Message("model", "", (ToolCall("c3", "delete", "/old"),)),
    Message("model", "Done: I have tidied up."),
)


@aion.activity(start_to_close=120)
async def ask_model(messages: list[Message]) -> Message:
    return SCRIPT[sum(message.role == "model" for message in messages)]


@aion.activity(name="list")
async def list_files(directory: str) -> str:
    return "3 files"


@aion.activity(name="delete")
async def delete_files(directory: str) -> str:
    print(f"deleting {directory}")
    return f"{directory} is gone"


TOOLS = {tool.name: tool for tool in (list_files, delete_files)}
DANGEROUS = ("delete",)
MAX_TURNS = 20
decide = aion.Update("decide", Verdict, None)
waiting = aion.Query("waiting", tuple[ToolCall, ...])


@aion.workflow(accepts=[decide, waiting])
async def agent(task: str) -> str:
    asked: dict[str, ToolCall] = {}
    verdicts: dict[str, bool] = {}

    def check(verdict: Verdict) -> None:
        if verdict.call_id not in asked:
            raise ValueError(f"no call {verdict.call_id!r} waits for a verdict")

    async def is_allowed(call: ToolCall) -> bool:
        asked[call.id] = call
        await aion.wait_until(lambda: call.id in verdicts)
        return verdicts.pop(asked.pop(call.id).id)

    waiting.answer(lambda: tuple(asked.values()))
    decide.handle(lambda verdict: verdicts.update({verdict.call_id: verdict.allowed}), check)

    async def use_tool(call: ToolCall) -> Message:
        try:
            if call.tool in DANGEROUS and not await is_allowed(call):
                outcome = "a person has refused this"
            else:
                outcome = await TOOLS[call.tool](call.argument)
        except (KeyError, aion.ActivityError) as error:
            outcome = f"failed: {error}"  # the model may know what to do about it
        return Message("tool", outcome, answers=call.id)

    messages = [Message("user", task)]
    for _ in range(MAX_TURNS):
        reply = await ask_model(messages)
        if not reply.calls:
            return reply.text
        messages += [reply, *await aion.map(use_tool, reply.calls)]
    raise aion.ApplicationError(f"no end after {MAX_TURNS} turns", type="TooManyTurns")


async def main(store: str) -> None:
    async with aion.open_engine(store, workflows=[agent]) as engine:
        run = await engine.start(agent, "Tidy up!", workflow_id="agent-1")
        while not (await run.describe()).status.is_closed:
            for call in await run.query(waiting):
                print(f"allowing {call.tool} {call.argument}")
                await run.update(decide, Verdict(call.id, allowed=True), update_id=call.id)
            await trio.sleep(0.02)
        print(await run.result())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        path = sys.argv[1] if len(sys.argv) > 1 else f"{directory}/agent.db"
        trio.run(main, f"sqlite:///{path}")
