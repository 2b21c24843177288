"""Driving a store and its model by the same steps; hypothesis chooses them."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

from aion_core.contracts import (
    Append,
    EventStore,
    FeedItem,
    Message,
    OpenActivity,
    Package,
    PackageRoute,
    RunFilter,
    StoreStats,
    StoreWriter,
)
from aion_core.errors import StoreError
from aion_core.history import ActivityRow, RunProjection, run_chain
from aion_core.ids import ActivityId, PackageVersion, RunId, WorkflowId
from aion_core.policies import Limit
from aion_core.status import WorkflowStatus
from aion_core.testing.histories import Story, all_runs, answer, at, message, payload
from aion_core.testing.model import ModelStore
from aion_core.testing.store_suite.telling import TELLING, tell

__all__ = ["STEPS", "SideBySide", "Step", "emptied"]

Step: TypeAlias = tuple[str, int, int]
"""What is done, to which of the workflows, and a number from 0 to 9 for all further choices."""

NAMES = ("a", "b", "c")
FILTERS = (
    RunFilter(),
    RunFilter(status=WorkflowStatus.RUNNING),
    RunFilter(stuck=True),
    RunFilter(attributes={"n": 1}),
    RunFilter(attributes={"n": True}),
    RunFilter(text="a"),
    RunFilter(closed_from=at(3)),
    RunFilter(started_to=at(6), workflow_type="order"),
)


class SideBySide:
    """A store and its model, and the stories that are being told to both.

    Args:
        limit: name of a rate limit that nobody else has used in this store.
    """

    def __init__(self, store: EventStore, writer: StoreWriter, limit: str) -> None:
        self._store = store
        self._writer = writer
        self.model = ModelStore()
        self._limit = Limit(limit, rate=(5, 100_000))
        self.stories = [Story(name) for name in NAMES]
        self._numbers = itertools.count()

    async def take(self, steps: Iterable[Step]) -> None:
        """Take steps, and compare what both say of each."""
        for name, which, choice in steps:
            if name in TELLING:
                story = self.stories[which]
                tell(story, name, choice, self._limit, story.workflow_id in self.model.stuck)
            else:
                await WRITING[name](self, self.stories[which], choice)

    async def compare(self) -> None:
        """Ask both everything."""
        store, model = self._store, self.model
        for story in self.stories:
            await self._compare_workflow(story.workflow_id)
        for filter_ in FILTERS:
            expected = [run.workflow_id for run in model.runs(filter_)]
            assert list((await store.list_runs(filter_)).runs) == model.runs(filter_)
            assert await all_runs(store, 1, filter_) == expected
            assert await store.count(filter_) == len(expected)
        oldest_first = sorted(model.runs(RunFilter()), key=lambda r: (r.started_at, r.workflow_id))
        for listed, status in (
            (await store.list_active(), WorkflowStatus.RUNNING),
            (await store.list_paused(), WorkflowStatus.PAUSED),
        ):
            assert list(listed) == [r.workflow_id for r in oldest_first if r.status is status]
        assert list(await store.list_workflow_ids()) == [r.workflow_id for r in oldest_first]
        assert list(await store.open_activities()) == model.open_activities()
        timers = model.timers()
        for second in (0, 4, 9):
            due = [row for row in timers if row.timer.fire_at <= at(second)]
            assert list(await store.expired_timers(at(second))) == due
            assert list(await store.due_work(at(second))) == model.due_work(at(second))
            later = [row.timer.fire_at for row in timers if row.timer.fire_at > at(second)]
            assert await store.next_timer(at(second)) == min(later, default=None)
        assert [item.event for item in await _whole_feed(store)] == model.log
        assert [stored.message for stored in await store.messages()] == model.messages
        starts = model.limit_starts(self._limit.name, at(0))
        assert list(await store.limit_starts(self._limit.name, at(0))) == starts
        packages = sorted(
            model.packages.values(),
            key=lambda each: (each.workflow_type, each.deployed_at, each.version),
        )
        assert list(await store.list_packages()) == packages
        routes = [PackageRoute(name, version) for name, version in sorted(model.routes.items())]
        assert list(await store.list_package_routes()) == routes
        assert _figures(await store.stats()) == self._expected_figures()
        assert list(await store.check()) == []

    async def _compare_workflow(self, workflow_id: WorkflowId) -> None:
        store, model = self._store, self.model
        history = model.history(workflow_id)
        assert list(await store.read_history(workflow_id)) == history
        assert list(await store.read_history_from(workflow_id, 3, 2)) == history[2:4]
        assert await store.read_summary(workflow_id) == model.summary(workflow_id)
        chain = run_chain(workflow_id, history)
        assert list(await store.read_run_chain(workflow_id)) == chain
        ids = [f"s{number}" for number in range(10)]
        projection = model.projection(workflow_id)
        known = projection.signal_ids | projection.update_ids
        assert await store.seen(workflow_id, ids) == known & set(ids)
        for message_id in (*ids, "unknown"):
            expected = model.answers.get(message_id)
            assert await store.fetch_answer(message_id) == expected

    def _expected_figures(self) -> tuple[int, ...]:
        model = self.model
        projections = [model.projection(workflow_id) for workflow_id in model.workflow_ids()]
        return (
            len(projections),
            sum(projection.is_open for projection in projections),
            len(model.log),
            sum(len(projection.timers) for projection in projections),
            sum(len(projection.activities) for projection in projections),
            len(model.messages),
            len(model.answers),
        )

    async def _append(self, story: Story, choice: int) -> None:
        """One transaction for all that has been told, with messages and answers."""
        waiting = [each for each in self.model.messages if each.target == story.workflow_id]
        given = answer(f"s{choice}", answered_at=choice)
        mine = story.append(
            consume=[each.message_id for each in waiting[: choice % 3]],
            post=[self._message(choice), message(f"out-{choice}", "b")][: choice % 3],
            answer=[] if given.message_id in self.model.answers else [given][: choice % 2],
        )
        others = [each.append() for each in self.stories if each.head > each.taken]
        await self._append_to_both([mine, *others])

    async def _append_wrongly(self, story: Story, choice: int) -> None:
        wrong = Story(story.workflow_id)
        wrong.events, wrong.taken = list(story.events), story.head
        wrong.now = story.now
        head = story.taken
        if choice % 3 == 0:
            conflict = Append(story.workflow_id, (), head + 1 + choice)
            await self._append_to_both([conflict])
        elif choice % 3 == 1 and story.head == story.taken > 0:
            events = wrong.signals(2).events[head:]
            await self._append_to_both([Append(story.workflow_id, events[::-1], head)])
        elif story.head == story.taken:
            gone = Append(story.workflow_id, (), head, ("gone",), (message("never"),))
            await self._append_to_both([gone])

    async def _append_to_both(self, appends: Sequence[Append]) -> None:
        expected = [self.model.append(append) for append in appends]
        refusals = await self._writer.append_many(appends)
        assert [None if each is None else type(each) for each in refusals] == expected

    async def _post(self, story: Story, choice: int) -> None:
        sent = message(f"s{choice}", story.workflow_id, body=str(next(self._numbers)))
        self.model.post(sent)
        await self._store.post(sent)

    async def _put_heartbeat(self, story: Story, choice: int) -> None:
        rows = self.model.open_activities()
        row = rows[choice % len(rows)] if rows else _nobodys(story.workflow_id)
        attempt = row.activity.attempt - (choice == 9)
        details = payload(str(choice))
        self.model.put_heartbeat(row, attempt, details)
        await self._writer.put_heartbeat(
            row.workflow_id, row.run_id, row.activity.activity_id, attempt, details
        )

    async def _put_stuck(self, story: Story, choice: int) -> None:
        told = RunProjection(story.workflow_id, story.events).summary
        if told is not None and told.status is WorkflowStatus.PAUSED:
            return
        reason = None if choice % 2 else f"reason {choice}"
        self.model.put_stuck(story.workflow_id, reason)
        await self._writer.put_stuck(story.workflow_id, reason)

    async def _put_package(self, story: Story, choice: int) -> None:
        package = Package(
            workflow_type=story.workflow_id,
            version=PackageVersion(f"v{choice % 3}"),
            archive=bytes([choice]),
            deployed_at=at(choice),
        )
        if choice % 4 == 3:
            self.model.delete_package(package.workflow_type, package.version)
            await self._writer.delete_package(package.workflow_type, package.version)
        elif choice % 4 == 2:
            route = PackageRoute(package.workflow_type, package.version)
            assert self.model.put_package_route(route) == await _is_taken(
                self._writer.put_package_route(route)
            )
        else:
            self.model.put_package(package)
            await self._writer.put_package(package)

    async def _purge(self, story: Story, choice: int) -> None:
        purged = [each for each in self.stories if each is story or choice % 2]
        if any(each.head > each.taken for each in purged):
            return
        ids = [each.workflow_id for each in purged]
        expected = self.model.purge(ids)
        if expected is None:
            assert not await _is_taken(self._writer.purge(ids))
            return
        assert await self._writer.purge(ids) == expected
        for each in purged:
            self.stories[self.stories.index(each)] = Story(each.workflow_id)

    async def _forget_answers(self, story: Story, choice: int) -> None:
        expected = self.model.forget_answers(at(choice))
        assert await self._writer.forget_answers(at(choice)) == expected

    def _message(self, choice: int) -> Message:
        return message(f"s{choice}", NAMES[choice % 3], body=str(next(self._numbers)))


async def emptied(store: EventStore, writer: StoreWriter) -> None:
    """Take everything out of a store, by the contract alone."""
    for run in (await store.list_runs(limit=1000)).runs:
        if not run.status.is_closed:
            story = Story(run.workflow_id)
            story.events = list(await store.read_history(run.workflow_id))
            story.taken, story.now = story.head, story.events[-1].recorded_at
            await writer.append_many([story.terminated().append()])
    await writer.purge(await store.list_workflow_ids())
    for stored in await store.messages():
        target = stored.message.target
        await writer.append_many([Append(target, (), 0, (stored.message.message_id,))])
    await writer.forget_answers(at(1_000_000))
    for package in await store.list_packages():
        await writer.delete_package(package.workflow_type, package.version)
    assert _figures(await store.stats()) == (0,) * 7
    assert list(await store.list_packages()) == []


async def _is_taken(call: Awaitable[object]) -> bool:
    try:
        await call
    except StoreError:
        return False
    return True


async def _whole_feed(store: EventStore) -> list[FeedItem]:
    found: list[FeedItem] = []
    while page := await store.feed(found[-1].position if found else 0, 9):
        found += page
    return found


def _figures(stats: StoreStats) -> tuple[int, ...]:
    return (
        stats.workflows,
        stats.open_workflows,
        stats.events,
        stats.timers,
        stats.activities,
        stats.messages,
        stats.answers,
    )


def _nobodys(workflow_id: WorkflowId) -> OpenActivity:
    activity = ActivityRow(activity_id=ActivityId("x"), activity_type="x", scheduled_seq=1)
    return OpenActivity(workflow_id, RunId("0"), activity)


WRITING: dict[str, Callable[[SideBySide, Story, int], Awaitable[None]]] = {
    "append": SideBySide._append,
    "append wrongly": SideBySide._append_wrongly,
    "post": SideBySide._post,
    "heartbeat": SideBySide._put_heartbeat,
    "stuck": SideBySide._put_stuck,
    "package": SideBySide._put_package,
    "purge": SideBySide._purge,
    "forget answers": SideBySide._forget_answers,
}

STEPS = (*TELLING, *WRITING, "append", "append", "append")
"""Names of steps; an append is the likeliest."""
