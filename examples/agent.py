"""An agent: a model says which tools to use, the workflow uses them and tells it what came of it.

    python examples/agent.py              # in a temporary store
    python examples/agent.py agent.db     # in a file that stays

Every answer of the model and every use of a tool is an activity: what is recorded is not paid for
or done again after a crash. A person must allow what is dangerous, however long that takes. The
model here follows a script; put the call of a real one in its place.
"""

import sys
import tempfile

import attrs
import trio

import aion_runtime as aion

MAX_TURNS = 20


@attrs.frozen
class ToolCall:
    id: str
    tool: str
    argument: str


@attrs.frozen
class Message:
    role: str
    text: str
    calls: tuple[ToolCall, ...] = ()  # by the model
    answers: str | None = None  # by a tool: the id of the call


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
    return f"{directory}: 3 files"


@aion.activity(name="delete")
async def delete_files(directory: str) -> str:
    print(f"deleting {directory}")
    return f"{directory} is gone"


TOOLS = {tool.name: tool for tool in (list_files, delete_files)}
DANGEROUS = ("delete",)

decide = aion.Update("decide", Verdict, None)
waiting = aion.Query("waiting", tuple[ToolCall, ...])


@aion.workflow(accepts=[decide, waiting])
async def agent(task: str) -> str:
    asked: dict[str, ToolCall] = {}
    verdicts: dict[str, bool] = {}

    def check(verdict: Verdict) -> None:
        if verdict.call_id not in asked:
            raise ValueError(f"no call {verdict.call_id!r} waits to be allowed")

    def take(verdict: Verdict) -> None:
        verdicts[verdict.call_id] = verdict.allowed
        del asked[verdict.call_id]

    waiting.answer(lambda: tuple(asked.values()))
    decide.handle(take, validator=check)

    async def is_allowed(call: ToolCall) -> bool:
        asked[call.id] = call
        await aion.wait_until(lambda: call.id in verdicts)
        return verdicts[call.id]

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
                await run.update(decide, Verdict(call.id, allowed=True))
            await trio.sleep(0.02)
        print(await run.result())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        path = sys.argv[1] if len(sys.argv) > 1 else f"{directory}/agent.db"
        trio.run(main, f"sqlite:///{path}")
