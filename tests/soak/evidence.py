"""Evidence: what a soak has left, as the checker wants it. Nothing here judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import trio

from aion_core.contracts import FeedItem, RunFilter
from aion_runtime.opening import open_store
from tests.soak.workload import ledger_at

__all__ = ["Evidence", "Execution", "Kill", "MemorySample", "Promise", "collect"]


@attrs.frozen
class Kill:
    """An engine was killed.

    Attributes:
        position: of the last event that was durable then.
        executions: how many lines the ledger of executions had.
    """

    life: int
    position: int
    executions: int


@attrs.frozen
class MemorySample:
    """How much memory an engine had.

    Attributes:
        age: seconds since it had opened.
    """

    life: int
    age: float
    mib: float


@attrs.frozen
class Promise:
    """What a client was told of a workflow.

    Attributes:
        result: what it returned; None while the client has no answer.
    """

    workflow_id: str
    result: object = None
    expected: object = None


@attrs.frozen
class Execution:
    """An attempt of an activity was made."""

    workflow_id: str
    run_id: str
    activity_id: str
    attempt: int


@attrs.frozen
class Evidence:
    """Everything.

    Attributes:
        feed: all events of all workflows, in the order in which they became durable.
        undelivered: kind and target of each message that is left.
        stuck: workflows that cannot go on, and why.
        unsound: what the store finds wrong with itself.
        kills: of engines.
    """

    promises: Sequence[Promise]
    executions: Sequence[Execution]
    feed: Sequence[FeedItem]
    undelivered: Sequence[tuple[str, str]]
    stuck: Mapping[str, str]
    unsound: Sequence[str]
    kills: Sequence[Kill] = ()
    client_kills: int = 0
    memory: Sequence[MemorySample] = ()


def collect(
    directory: Path,
    clients: Sequence[str],
    kills: Sequence[Kill],
    memory: Sequence[MemorySample],
) -> Evidence:
    """Read it all, when all processes have ended."""
    promises: dict[str, Promise] = {}
    for client in clients:
        for line in ledger_at(directory / f"{client}.jsonl"):
            if "asked" in line:
                promises[str(line["asked"])] = Promise(str(line["asked"]))
            else:
                ended = str(line["ended"])
                promises[ended] = Promise(ended, line["result"], line["expected"])
    executions = executions_at(directory)
    return trio.run(_read_store, directory, list(promises.values()), executions, kills, memory)


def executions_at(directory: Path) -> list[Execution]:
    """Every execution so far, in order."""
    return [
        Execution(
            str(line["workflow"]),
            str(line["run"]),
            str(line["activity"]),
            int(str(line["attempt"])),
        )
        for line in ledger_at(directory / "ledger.jsonl")
    ]


async def _read_store(
    directory: Path,
    promises: Sequence[Promise],
    executions: Sequence[Execution],
    kills: Sequence[Kill],
    memory: Sequence[MemorySample],
) -> Evidence:
    async with open_store(f"sqlite:///{directory}/aion.db") as store:
        feed: list[FeedItem] = []
        while page := await store.feed(feed[-1].position if feed else 0):
            feed += page
        stuck = await store.list_runs(RunFilter(stuck=True), limit=1000)
        return Evidence(
            promises=promises,
            executions=executions,
            feed=feed,
            undelivered=[
                (stored.message.kind, stored.message.target)
                async for stored in store.all_messages()
            ],
            stuck={run.workflow_id: str(run.stuck) for run in stuck.runs},
            unsound=await store.check(),
            kills=kills,
            memory=memory,
        )
