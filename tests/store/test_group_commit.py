"""Group commit, with a commit that the test lets through: who waits, who is told what."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack

import pytest
import trio
import trio.testing

from aion_core.errors import FencedError, StoreError, StoreUnavailableError
from aion_store_sqlite.group_commit import MAX_BATCH, GroupCommit, committing


class Disk:
    """Commits when told to; answers each item with itself, doubled."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.error: Exception | None = None
        self.gate = trio.Semaphore(0)

    async def commit(self, batch: Sequence[int], settle: Callable[[Sequence[int]], None]) -> None:
        self.batches.append(list(batch))
        await self.gate.acquire()
        if self.error is not None:
            raise self.error
        settle([item * 2 for item in batch])
        await trio.lowlevel.checkpoint()

    def open(self) -> None:
        for _ in range(1000):
            self.gate.release()


@pytest.fixture
async def disk() -> Disk:
    return Disk()


@pytest.fixture
async def group(disk: Disk) -> AsyncIterator[GroupCommit[int, int]]:
    async with committing(disk.commit) as group:
        yield group
        disk.open()


async def test_what_arrives_during_a_commit_is_committed_together(
    group: GroupCommit[int, int], disk: Disk
) -> None:
    results: list[int] = []

    async def submit(item: int) -> None:
        results.extend(await group.submit([item]))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(submit, 0)
        await trio.testing.wait_all_tasks_blocked()
        for item in range(1, 100):
            nursery.start_soon(submit, item)
        await trio.testing.wait_all_tasks_blocked()
        disk.open()
    assert [len(batch) for batch in disk.batches] == [1, 99]
    assert sorted(results) == [item * 2 for item in range(100)]


async def test_tasks_that_submit_at_once_share_the_first_commit(
    group: GroupCommit[int, int], disk: Disk
) -> None:
    disk.open()
    async with trio.open_nursery() as nursery:
        for item in range(50):
            nursery.start_soon(group.submit, [item])
    assert [len(batch) for batch in disk.batches] == [50]


async def test_those_who_have_been_answered_share_the_next_commit_too(
    group: GroupCommit[int, int], disk: Disk
) -> None:
    async def submit_often(item: int) -> None:
        for _ in range(5):
            await group.submit([item])

    disk.open()
    async with trio.open_nursery() as nursery:
        for item in range(50):
            nursery.start_soon(submit_often, item)
    assert [len(batch) for batch in disk.batches] == [50] * 5


async def test_each_gets_the_results_of_its_own_items(
    group: GroupCommit[int, int], disk: Disk
) -> None:
    found: dict[int, Sequence[int]] = {}

    async def submit(count: int) -> None:
        found[count] = await group.submit([count] * count)

    disk.open()
    async with trio.open_nursery() as nursery:
        for count in range(5):
            nursery.start_soon(submit, count)
    assert found == {count: [count * 2] * count for count in range(5)}


async def test_a_batch_has_a_largest_size(group: GroupCommit[int, int], disk: Disk) -> None:
    disk.open()
    async with trio.open_nursery() as nursery:
        for item in range(MAX_BATCH + 10):
            nursery.start_soon(group.submit, [item])
    assert [len(batch) for batch in disk.batches] == [MAX_BATCH, 10]


async def test_who_is_cancelled_while_queued_has_committed_nothing(
    group: GroupCommit[int, int], disk: Disk
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.submit, [1])
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            nursery.start_soon(group.submit, [3])
            scope.cancel()
            await group.submit([2])
        assert scope.cancelled_caught
        with trio.move_on_after(0) as scope:
            await group.submit([4])
        assert scope.cancelled_caught
        disk.open()
    assert disk.batches == [[1], [3]]


async def test_who_is_cancelled_once_queued_has_committed_nothing(
    group: GroupCommit[int, int], disk: Disk
) -> None:
    scope = trio.CancelScope()

    async def cancelled() -> None:
        with scope:
            await group.submit([2])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(group.submit, [1])
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(cancelled)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert scope.cancelled_caught
        disk.open()
    assert disk.batches == [[1]]


async def test_who_is_cancelled_in_flight_learns_the_outcome(
    group: GroupCommit[int, int], disk: Disk
) -> None:
    scope = trio.CancelScope()
    results: list[int] = []

    async def cancelled() -> None:
        with scope:
            results.extend(await group.submit([1]))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancelled)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert results == []
        disk.open()
    assert results == [2]


@pytest.mark.parametrize("kind", [StoreError, StoreUnavailableError, FencedError])
async def test_each_waiter_gets_an_error_of_its_own(
    group: GroupCommit[int, int], disk: Disk, kind: type[StoreError]
) -> None:
    disk.error = kind("out of luck")
    errors: list[StoreError] = []

    async def submit() -> None:
        with pytest.raises(kind) as caught:
            await group.submit([1])
        errors.append(caught.value)

    disk.open()
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(submit)
    assert len({id(error) for error in errors}) == 5
    assert {type(error) for error in errors} == {kind}
    assert {str(error) for error in errors} == {"out of luck"}
    assert all(error.__cause__ is disk.error for error in errors)


async def test_an_error_of_the_store_is_not_the_end(
    group: GroupCommit[int, int], disk: Disk
) -> None:
    disk.error = StoreUnavailableError("no room")
    disk.open()
    with pytest.raises(StoreUnavailableError):
        await group.submit([1])
    disk.error = None
    assert list(await group.submit([1])) == [2]


async def test_the_death_of_the_committing_task_fails_all_and_refuses_the_rest(
    disk: Disk,
) -> None:
    errors: dict[int, StoreError] = {}

    async def submit(group: GroupCommit[int, int], item: int) -> None:
        with pytest.raises(StoreError) as caught:
            await group.submit([item])
        errors[item] = caught.value

    disk.error = ZeroDivisionError()
    with pytest.raises(StoreError, match="ZeroDivisionError"):
        async with committing(disk.commit) as group, trio.open_nursery() as nursery:
            nursery.start_soon(submit, group, 1)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(submit, group, 2)
            nursery.start_soon(submit, group, 3)
            await trio.testing.wait_all_tasks_blocked()
            disk.open()
            await trio.testing.wait_all_tasks_blocked()
            await submit(group, 4)
    assert disk.batches == [[1]]
    # Of the batch in flight nobody can tell; the others were certainly not written.
    assert "read the history" in str(errors[1])
    assert all("nothing was written" in str(errors[item]) for item in (2, 3, 4))


async def test_closing_commits_what_is_queued(disk: Disk) -> None:
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        async with committing(disk.commit) as group:
            nursery.start_soon(group.submit, [1])
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(group.submit, [2])
            await trio.testing.wait_all_tasks_blocked()
            disk.open()
    assert disk.batches == [[1], [2]]
    with pytest.raises(StoreError, match="closed"):
        await group.submit([3])
