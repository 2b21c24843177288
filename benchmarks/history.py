"""A run of 100 000 activities, without a store: what one costs as history grows, and its replay.

Processor time; the raw limit is `coroutine.send` alone.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Generator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trio

from aion_core import events as e
from aion_core.codec import decode_event, encode_event, kind_of
from aion_core.ids import RunId, WorkflowId
from aion_core.machine.arrivals import ActivityOutcome, AttemptCompleted, StartRequest
from aion_core.machine.run import Run
from aion_core.machine.workflow_machine import WorkflowMachine
from aion_core.payloads import Payload, PayloadConverter
from benchmarks.workload import Item, chain

__all__ = ["measure"]

LENGTH = 100_000
TENTH = LENGTH // 10
REPLAYED = 10_000
"""Activities of the history that is replayed: about two events each."""
WORKFLOW = WorkflowId("long")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


async def measure(directory: Path) -> dict[str, float]:
    await trio.lowlevel.checkpoint()
    converter = PayloadConverter()
    gc.collect()
    history, first, last = _live(converter)
    replayed = history[: 2 * REPLAYED]
    texts = [(kind_of(event), encode_event(event)) for event in replayed]
    began = time.process_time()
    read = [
        decode_event(kind, text, seq=seq, recorded_at=NOW, workflow_id=WORKFLOW)
        for seq, (kind, text) in enumerate(texts, 1)
    ]
    decoded = time.process_time()
    _replay(read, converter)
    ended = time.process_time()
    began_all = time.process_time()
    _replay(history, converter)
    all_of_it = time.process_time() - began_all
    sends = _sends_per_second()
    rate = len(read) / (ended - decoded)
    return {
        "us_per_activity_first": first / TENTH * 1e6,
        "us_per_activity_last": last / TENTH * 1e6,
        "last_to_first": last / first,
        "replay_events_per_second": rate,
        "replay_of_10000_s": ended - decoded,
        "with_decoding_s": ended - began,
        "replay_of_100000_s": all_of_it,
        "raw_sends_per_second": sends,
        "ratio": rate / sends,
    }


def _live(converter: PayloadConverter) -> tuple[list[e.HistoryEvent], float, float]:
    """The history of such a run, and the seconds that its first and last tenth took."""
    run = Run(WORKFLOW, [], lambda name: chain, converter, nullcontext)
    start = StartRequest(
        workflow_type=chain.name,
        input=chain.signature.encode_arguments((LENGTH,), {}, converter),
        run_id=RunId("run"),
        package_version=e.UNVERSIONED,
        random_seed=1,
    )
    result = converter.encode(Item(1, "a small value"), Item)
    history = list(run.step([start], NOW).events)
    took: list[float] = []
    began = time.process_time()
    for number in range(1, LENGTH + 1):
        history += run.step([_outcome(run, result)], NOW).events
        if number % TENTH == 0:
            took.append(time.process_time() - began)
            began = time.process_time()
    return history, took[0], took[-1]


def _outcome(run: Run, result: Payload) -> ActivityOutcome:
    (row,) = run.projection.activities.values()
    return ActivityOutcome(
        run_id=RunId("run"),
        activity_id=row.activity_id,
        scheduled_seq=row.scheduled_seq,
        attempt=1,
        outcome=AttemptCompleted(result),
    )


def _replay(history: list[e.HistoryEvent], converter: PayloadConverter) -> None:
    started = history[0]
    assert isinstance(started, e.WorkflowStarted)
    machine = WorkflowMachine(started, chain, converter, nullcontext)
    machine.replay(history)
    machine.close()


def _sends_per_second(count: int = 1_000_000) -> float:
    class Forever:
        def __await__(self) -> Generator[None, Any, None]:
            while True:
                yield

    async def forever() -> None:
        await Forever()

    coroutine = forever()
    send = coroutine.send
    began = time.process_time()
    for _ in range(count):
        send(None)
    took = time.process_time() - began
    coroutine.close()
    return count / took
