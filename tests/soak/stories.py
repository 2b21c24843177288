"""Stories: what one client does with one workflow, made up from a seed, and how it must end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import attrs

import aion_runtime as aion
from tests.soak import workload as w

__all__ = ["Story", "stories", "tell"]

KINDS = ("chain", "fan", "napping", "listening", "tally", "children", "rounds")


@attrs.frozen
class Story:
    """One workflow's.

    Attributes:
        value: what it is started with.
        more: what it is sent.
    """

    kind: str
    workflow_id: str
    value: int
    more: tuple[int, ...]

    @property
    def result(self) -> int:
        """What the workflow must return, worked out without Aion."""
        value = self.value
        fan = sum(2 * (value + each) for each in range(8))
        chain = 2 * (value + 3)
        match self.kind:
            case "chain":
                return chain
            case "fan":
                return fan
            case "napping":
                return value + 1
            case "listening":
                return sum(self.more)
            case "tally":
                return value + sum(each + 1 for each in self.more)
            case "children":
                return fan + chain + value + 1
            case _:
                return value + 1 + len(self.more)


def stories(seed: int, client: str) -> Iterator[Story]:
    """The stories of a client, without end, the same for the same seed."""
    random_ = random.Random(f"{seed} {client}")
    count = 0
    while True:
        count += 1
        kind = random_.choice(KINDS)
        more = tuple(random_.randrange(100) for _ in range(random_.randint(1, 4)))
        yield Story(kind, f"{client}-{count}-{kind}", random_.randrange(1000), more)


async def tell(client: aion.Client, story: Story) -> int:
    """See a workflow through, by way of an engine that may die meanwhile; returns its result.

    What has an id of its own is sent twice now and then: it must count once.
    """
    handle = await _started(client, story)
    # Told again by a client that was killed, a story may be over already.
    with suppress(aion.WorkflowClosedError):
        await _send(handle, story)
    result: int = await handle.result()
    return result


async def _send(handle: aion.WorkflowHandle[Any], story: Story) -> None:
    match story.kind:
        case "listening":
            for place, value in enumerate(story.more):
                for _ in range(1 + value % 2):
                    await handle.signal(w.number, value, signal_id=f"number {place}")
        case "tally":
            for place, value in enumerate(story.more):
                for _ in range(1 + value % 2):
                    await handle.update(w.add, value, update_id=f"add {place}")
            await handle.signal(w.go, 1, signal_id="go")


async def _started(client: aion.Client, story: Story) -> aion.WorkflowHandle[Any]:
    if story.kind == "listening":
        return await client.start(w.listening, len(story.more), workflow_id=story.workflow_id)
    if story.kind == "rounds":
        return await client.start(
            w.rounds, story.value, len(story.more), workflow_id=story.workflow_id
        )
    simple: dict[str, aion.Workflow[[int], int]] = {
        "chain": w.chain,
        "fan": w.fan,
        "napping": w.napping,
        "tally": w.tally,
        "children": w.children,
    }
    return await client.start(simple[story.kind], story.value, workflow_id=story.workflow_id)
