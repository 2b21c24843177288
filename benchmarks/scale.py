"""A million events in the store: what reading and purging cost, beside the same with 10 000.

Both files have the same runs open, and the same few that failed long ago; what grows is what lies
behind. A ratio is the cost in the large file over that in the small one, asked in turns. The disk
is not waited for: it would take the same time of both.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from aion_core import events as e
from aion_core.contracts import Append, EventStore, Message, RunFilter, StoreWriter
from aion_core.failures import Failure
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.policies import ActivityOptions
from aion_core.status import WorkflowStatus
from aion_store_sqlite.store import open_store

__all__ = ["measure"]

SMALL, LARGE = 10_000, 1_000_000
EVENTS_OF_A_RUN = 20
AT_ONCE = 100
"""Runs whose events are written in turns, as those of an engine are."""
FAILED = (20, 220)
OPEN_RUNS = 100
TURNS = 15
PURGED_AT_ONCE = 10

NOW = datetime(2030, 1, 1, tzinfo=UTC)
VALUE = Payload(JSON, b'{"number":17,"name":"a small value"}')
OPTIONS = ActivityOptions()

Question: TypeAlias = Callable[[EventStore], Awaitable[Any]]


async def measure(directory: Path) -> dict[str, float]:
    async with (
        open_store(f"sqlite:///{directory}/small.db?durability=normal") as small,
        small.writer() as small_writer,
        open_store(f"sqlite:///{directory}/large.db?durability=normal") as large,
        large.writer() as large_writer,
    ):
        await _fill(small_writer, small, SMALL)
        began = time.perf_counter()
        await _fill(large_writer, large, LARGE)
        figures = {"filled_events_per_second": LARGE / (time.perf_counter() - began)}
        for name, question in QUESTIONS.items():
            figures |= await _compared(
                name,
                itertools.repeat(partial(question, small)),
                itertools.repeat(partial(question, large)),
            )
        return figures | await _compared(
            "purge", _purges(small_writer, SMALL), _purges(large_writer, LARGE)
        )


async def _compared(
    name: str,
    small: Iterator[Callable[[], Awaitable[Any]]],
    large: Iterator[Callable[[], Awaitable[Any]]],
) -> dict[str, float]:
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(TURNS):
        for times, calls in zip(took, (small, large), strict=True):
            call = next(calls)
            began = time.perf_counter()
            await call()
            times.append(time.perf_counter() - began)
    few, many = map(statistics.median, took)
    return {f"{name}_ms": many * 1e3, f"{name}_ratio": many / few}


async def _feed(store: EventStore) -> None:
    assert len(await store.feed(SMALL // 2)) == 1000


async def _list(store: EventStore) -> None:
    page = await store.list_runs()
    assert len(page.runs) == 100
    assert page.cursor is not None
    await store.list_runs(cursor=page.cursor)


async def _list_open(store: EventStore) -> None:
    assert len(await store.list_active()) == OPEN_RUNS


async def _list_failed(store: EventStore) -> None:
    page = await store.list_runs(RunFilter(status=WorkflowStatus.FAILED))
    assert len(page.runs) == len(FAILED)


async def _count(store: EventStore) -> None:
    assert await store.count() > OPEN_RUNS


async def _count_closed(store: EventStore) -> None:
    assert await store.count(RunFilter(status=WorkflowStatus.COMPLETED)) > OPEN_RUNS


async def _due_work(store: EventStore) -> None:
    assert len(await store.due_work(NOW)) == OPEN_RUNS


async def _timers(store: EventStore) -> None:
    assert len(await store.expired_timers(NOW)) == OPEN_RUNS // 2
    assert await store.next_timer(NOW) is not None


async def _history(store: EventStore) -> None:
    assert len(await store.read_history(_closed_id(77))) == EVENTS_OF_A_RUN


QUESTIONS: dict[str, Question] = {
    "feed": _feed,
    "list": _list,
    "list_open": _list_open,
    "list_failed": _list_failed,
    "count": _count,
    "count_closed": _count_closed,
    "due_work": _due_work,
    "timers": _timers,
    "history": _history,
}


def _purges(writer: StoreWriter, events: int) -> Iterator[Callable[[], Awaitable[Any]]]:
    """Purges of runs that were written together, in the middle of the log."""
    first = events // EVENTS_OF_A_RUN // 2
    for start in itertools.count(first, PURGED_AT_ONCE):
        ids = [_closed_id(number) for number in range(start, start + PURGED_AT_ONCE)]
        yield partial(writer.purge, ids)


async def _fill(writer: StoreWriter, store: EventStore, events: int) -> None:
    closed = events // EVENTS_OF_A_RUN
    for first in range(0, closed, AT_ONCE):
        runs = [_closed_run(number) for number in range(first, first + AT_ONCE)]
        await _write(writer, [append for step in zip(*runs, strict=True) for append in step])
    await _write(writer, [_open_run(number) for number in range(OPEN_RUNS)])
    for number in range(10):
        await store.post(_message(number))


async def _write(writer: StoreWriter, appends: Sequence[Append]) -> None:
    assert not any(await writer.append_many(appends))


def _closed_run(number: int) -> Iterator[Append]:
    """The appends of a run: one for each of its steps."""
    workflow_id = _closed_id(number)
    at = NOW - timedelta(days=30) + timedelta(seconds=number)
    seq = 1
    events: list[e.HistoryEvent] = [_started(workflow_id, at)]
    for step in range((EVENTS_OF_A_RUN - 2) // 2):
        events.append(_scheduled(workflow_id, at, seq + len(events), step))
        yield Append(workflow_id, events, seq - 1)
        seq += len(events)
        events = [
            e.ActivityCompleted(
                seq=seq,
                recorded_at=at,
                workflow_id=workflow_id,
                activity_id=ActivityId(f"activity:{step}"),
                result=VALUE,
                attempt=1,
            )
        ]
    last: dict[str, Any] = {
        "seq": seq + len(events),
        "recorded_at": at,
        "workflow_id": workflow_id,
    }
    if number in FAILED:
        events.append(e.WorkflowFailed(**last, error=Failure(type="ValueError", message="no")))
    else:
        events.append(e.WorkflowCompleted(**last, result=VALUE))
    yield Append(workflow_id, events, seq - 1)


def _open_run(number: int) -> Append:
    """A run with an activity and a timer; half of the timers are due."""
    workflow_id, at = WorkflowId(f"open-{number:06}"), NOW - timedelta(hours=1)
    return Append(
        workflow_id,
        [
            _started(workflow_id, at),
            _scheduled(workflow_id, at, 2, 0),
            e.TimerStarted(
                seq=3,
                recorded_at=at,
                workflow_id=workflow_id,
                timer_id=TimerId("timer:0"),
                fire_at=NOW + timedelta(minutes=1 if number % 2 else -1),
            ),
        ],
        0,
    )


def _closed_id(number: int) -> WorkflowId:
    return WorkflowId(f"closed-{number:06}")


def _started(workflow_id: WorkflowId, at: datetime) -> e.WorkflowStarted:
    return e.WorkflowStarted(
        seq=1,
        recorded_at=at,
        workflow_id=workflow_id,
        workflow_type="chain",
        input=VALUE,
        run_id=RunId(f"run-{workflow_id}"),
        package_version=e.UNVERSIONED,
        random_seed=7,
    )


def _scheduled(workflow_id: WorkflowId, at: datetime, seq: int, step: int) -> e.ActivityScheduled:
    return e.ActivityScheduled(
        seq=seq,
        recorded_at=at,
        workflow_id=workflow_id,
        activity_id=ActivityId(f"activity:{step}"),
        activity_type="touch",
        input=VALUE,
        options=OPTIONS,
    )


def _message(number: int) -> Message:
    return Message(
        message_id=f"message-{number}",
        kind="signal",
        target=WorkflowId(f"open-{number:06}"),
        body=VALUE,
        posted_at=NOW,
    )
