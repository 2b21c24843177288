"""What the tests of the stores share: events to write, and each store opened by its name."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from aion_core import events as e
from aion_core.contracts import Append, EventStore, StoreWriter
from aion_core.failures import Failure
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.policies import ActivityOptions
from aion_store_memory.store import MemoryStore
from aion_store_sqlite.store import open_store

Opener: TypeAlias = Callable[[], AbstractAsyncContextManager[EventStore]]


class Story:
    """The history of one workflow, told event by event; `append` takes what is new."""

    def __init__(self, workflow_id: str = "w") -> None:
        self.workflow_id = WorkflowId(workflow_id)
        self.events: list[e.HistoryEvent] = []
        self.taken = 0
        self.now = at(0)

    @property
    def head(self) -> int:
        return len(self.events)

    def append(self) -> Append:
        """Everything since the last call."""
        append = Append(self.workflow_id, tuple(self.events[self.taken :]), self.taken)
        self.taken = self.head
        return append

    def started(
        self, *, started_at: datetime | None = None, run_id: str = "run", type: str = "order"
    ) -> Story:
        if started_at is not None:
            self.now = started_at
        return self._add(
            e.WorkflowStarted,
            workflow_type=type,
            input=payload("{}"),
            run_id=RunId(run_id),
            package_version=e.UNVERSIONED,
            random_seed=7,
        )

    def completed(self) -> Story:
        return self._add(e.WorkflowCompleted, result=payload("null"))

    def failed(self, error: Failure) -> Story:
        return self._add(e.WorkflowFailed, error=error)

    def scheduled(self, activity_id: str, type: str = "charge") -> Story:
        return self._add(
            e.ActivityScheduled,
            activity_id=ActivityId(activity_id),
            activity_type=type,
            input=payload("{}"),
            options=ActivityOptions(),
        )

    def redelivered(self, activity_id: str, attempt: int, delivery: int) -> Story:
        return self._add(
            e.ActivityStarted,
            activity_id=ActivityId(activity_id),
            attempt=attempt,
            delivery=delivery,
        )

    def activity_completed(self, activity_id: str, attempt: int = 1) -> Story:
        return self._add(
            e.ActivityCompleted,
            activity_id=ActivityId(activity_id),
            result=payload("1"),
            attempt=attempt,
        )

    def activity_failed(
        self, activity_id: str, attempt: int = 1, next_attempt_at: datetime | None = None
    ) -> Story:
        return self._add(
            e.ActivityFailed,
            activity_id=ActivityId(activity_id),
            error=FAILURE,
            attempt=attempt,
            next_attempt_at=next_attempt_at,
        )

    def cancel_requested(self, activity_id: str) -> Story:
        return self._add(e.ActivityCancelRequested, activity_id=ActivityId(activity_id))

    def activity_cancelled(self, activity_id: str) -> Story:
        return self._add(e.ActivityCancelled, activity_id=ActivityId(activity_id), attempt=1)

    def timer(self, timer_id: str, fire_at: datetime) -> Story:
        return self._add(e.TimerStarted, timer_id=TimerId(timer_id), fire_at=fire_at)

    def fired(self, timer_id: str, started_seq: int) -> Story:
        return self._add(e.TimerFired, timer_id=TimerId(timer_id), started_seq=started_seq)

    def timer_cancelled(self, timer_id: str) -> Story:
        return self._add(e.TimerCancelled, timer_id=TimerId(timer_id))

    def signal(self, name: str = "approve", json: str = "true", id: str | None = None) -> Story:
        return self._add(e.SignalReceived, name=name, payload=payload(json), signal_id=id)

    def signals(self, count: int) -> Story:
        for number in range(count):
            self.signal(json=str(number))
        return self

    def _add(self, cls: type[e.HistoryEvent], **fields: Any) -> Story:
        self.events.append(
            cls(seq=self.head + 1, recorded_at=self.now, workflow_id=self.workflow_id, **fields)
        )
        return self


def at(seconds: float) -> datetime:
    return datetime(2024, 3, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def payload(json: str) -> Payload:
    return Payload(JSON, json.encode())


FAILURE = Failure(type="Declined", message="no money", kind="retryable")


_Story: TypeAlias = Story


class Kit:
    """What the tests call by ``kit``."""

    Story = Story
    at = staticmethod(at)
    payload = staticmethod(payload)
    failure = FAILURE

    @staticmethod
    async def write(writer: StoreWriter, *stories: _Story) -> None:
        """Append what is new, in one transaction; nothing of it may be refused."""
        refusals = await writer.append_many([story.append() for story in stories])
        assert list(refusals) == [None] * len(stories)

    @staticmethod
    async def all_runs(store: EventStore, limit: int) -> list[str]:
        """Ids of all workflows, by pages."""
        found: list[str] = []
        cursor: str | None = None
        while True:
            page = await store.list_runs(limit=limit, cursor=cursor)
            found += [run.workflow_id for run in page.runs]
            cursor = page.cursor
            if cursor is None:
                return found
            assert len(page.runs) == limit

    @staticmethod
    def of(story: _Story, numbers: Iterable[int]) -> list[e.HistoryEvent]:
        """Single events of a story, by seq."""
        return [story.events[number - 1] for number in numbers]


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "aion.db"


@pytest.fixture
def sqlite_opener(database: Path) -> Opener:
    return lambda: open_store(f"sqlite:///{database}")


@pytest.fixture
def execute(database: Path) -> Iterator[Callable[..., list[tuple[object, ...]]]]:
    """Runs a statement as another program would."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:

        def run(sql: str, *parameters: object) -> list[tuple[object, ...]]:
            return connection.execute(sql, parameters).fetchall()

        yield run


@pytest.fixture(params=["memory", "sqlite"])
def opener(request: pytest.FixtureRequest) -> Opener:
    """Opens one and the same store, as often as it is called."""
    if request.param == "sqlite":
        found: Opener = request.getfixturevalue("sqlite_opener")
        return found
    store = MemoryStore()

    @asynccontextmanager
    async def open_memory() -> AsyncIterator[EventStore]:
        yield store

    return open_memory


@pytest.fixture
async def store(opener: Opener) -> AsyncIterator[EventStore]:
    async with opener() as opened:
        yield opened


@pytest.fixture
async def writer(store: EventStore) -> AsyncIterator[StoreWriter]:
    async with store.writer() as opened:
        yield opened
