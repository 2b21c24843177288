"""Packages, purging, figures and the check: what is done beside running workflows."""

from __future__ import annotations

import pytest

from aion_core.contracts import (
    EventStore,
    Package,
    PackageRoute,
    RunFilter,
    StoreStats,
    StoreWriter,
)
from aion_core.errors import StoreError
from aion_core.ids import PackageVersion, WorkflowId
from aion_core.testing.histories import Story, answer, at, message, sent_by, write
from aion_core.testing.store_suite.base import SuiteBase

__all__ = ["UpkeepCases"]


def package(type: str, version: str, deployed_at: float = 0, archive: bytes = b"") -> Package:
    """A package; ``deployed_at`` as for `at`."""
    return Package(
        workflow_type=type,
        version=PackageVersion(version),
        archive=archive,
        deployed_at=at(deployed_at),
    )


def route(type: str, version: str) -> PackageRoute:
    """A route."""
    return PackageRoute(type, PackageVersion(version))


class UpkeepCases(SuiteBase):
    """Upkeep changes what it is told to, and nothing beside it."""

    @pytest.mark.trio
    async def test_an_empty_store_has_no_packages(self, store: EventStore) -> None:
        assert list(await store.list_packages()) == []
        assert list(await store.list_package_routes()) == []

    @pytest.mark.trio
    async def test_a_package_comes_back_as_it_was(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        kept = package("order", "v1", 1.000001, bytes(range(256)) * 4096)
        await writer.put_package(kept)
        assert list(await store.list_packages()) == [kept]

    @pytest.mark.trio
    async def test_a_package_is_routed_to(self, store: EventStore, writer: StoreWriter) -> None:
        await writer.put_package(package("order", "v1"))
        await writer.put_package(package("order", "v2"))
        await writer.put_package(package("bill", "v1"))
        assert list(await store.list_package_routes()) == [
            route("bill", "v1"),
            route("order", "v2"),
        ]

    @pytest.mark.trio
    async def test_a_package_takes_the_place_of_one_of_its_version(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await writer.put_package(package("order", "v1", 1, b"old"))
        await writer.put_package(package("order", "v1", 2, b"new"))
        assert list(await store.list_packages()) == [package("order", "v1", 2, b"new")]

    @pytest.mark.trio
    async def test_a_package_put_again_is_routed_to_again(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        for version in ("v1", "v2", "v1"):
            await writer.put_package(package("order", version))
        assert list(await store.list_package_routes()) == [route("order", "v1")]

    @pytest.mark.trio
    async def test_packages_come_by_type_then_by_deployment_then_by_version(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        ordered = [
            package("a", "z", 2),
            package("b", "y", 1),
            package("b", "w", 2),
            package("b", "x", 2),
        ]
        for each in reversed(ordered):
            await writer.put_package(each)
        assert list(await store.list_packages()) == ordered

    @pytest.mark.trio
    async def test_a_route_can_be_put_back(self, store: EventStore, writer: StoreWriter) -> None:
        await writer.put_package(package("order", "v1"))
        await writer.put_package(package("order", "v2"))
        await writer.put_package_route(route("order", "v1"))
        assert list(await store.list_package_routes()) == [route("order", "v1")]

    @pytest.mark.trio
    async def test_a_route_to_no_package_is_refused(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await writer.put_package(package("order", "v1"))
        for missing in (route("order", "v2"), route("bill", "v1")):
            with pytest.raises(StoreError):
                await writer.put_package_route(missing)
        assert list(await store.list_package_routes()) == [route("order", "v1")]

    @pytest.mark.trio
    async def test_a_deleted_package_takes_its_route_with_it(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await writer.put_package(package("order", "v1"))
        await writer.delete_package("order", PackageVersion("v1"))
        assert list(await store.list_packages()) == []
        assert list(await store.list_package_routes()) == []

    @pytest.mark.trio
    async def test_a_deleted_package_leaves_the_route_to_another(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await writer.put_package(package("order", "v1"))
        await writer.put_package(package("order", "v2"))
        await writer.delete_package("order", PackageVersion("v1"))
        assert list(await store.list_packages()) == [package("order", "v2")]
        assert list(await store.list_package_routes()) == [route("order", "v2")]

    @pytest.mark.trio
    async def test_a_package_that_is_not_there_can_be_deleted(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await writer.put_package(package("order", "v1"))
        await writer.delete_package("order", PackageVersion("v2"))
        await writer.delete_package("bill", PackageVersion("v1"))
        assert list(await store.list_packages()) == [package("order", "v1")]

    @pytest.mark.trio
    async def test_a_purged_workflow_is_gone(self, store: EventStore, writer: StoreWriter) -> None:
        story = Story().started(attributes={"a": 1}).signal(id="s").failed()
        other = Story("other").started().scheduled("a")
        await write(writer, story, other)
        assert await writer.purge([story.workflow_id]) == 1
        assert list(await store.read_history(story.workflow_id)) == []
        assert await store.read_summary(story.workflow_id) is None
        assert list(await store.read_run_chain(story.workflow_id)) == []
        assert await store.seen(story.workflow_id, ["s"]) == frozenset()
        assert await store.count(RunFilter(attributes={"a": 1})) == 0
        assert list(await store.list_workflow_ids()) == ["other"]
        assert [item.event for item in await store.feed()] == other.events

    @pytest.mark.trio
    async def test_a_purged_workflow_takes_all_of_its_runs_with_it(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started(run_id="1").signal().continued("2").signal().completed()
        await write(writer, story)
        assert await writer.purge([story.workflow_id]) == 1
        assert list(await store.read_history(story.workflow_id)) == []
        assert list(await store.feed()) == []

    @pytest.mark.trio
    async def test_a_purged_id_can_be_used_again(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await write(writer, Story().started(attributes={"a": 1}).signal(id="s").completed())
        await writer.purge([WorkflowId("w")])
        again = Story().started(at=at(5)).scheduled("a")
        await write(writer, again)
        assert list(await store.read_history(again.workflow_id)) == again.events
        summary = await store.read_summary(again.workflow_id)
        assert summary is not None
        assert (summary.attributes, summary.events) == ({}, 2)
        assert await store.seen(again.workflow_id, ["s"]) == frozenset()

    @pytest.mark.trio
    @pytest.mark.parametrize("paused", [False, True])
    async def test_an_open_workflow_is_not_purged(
        self, store: EventStore, writer: StoreWriter, paused: bool
    ) -> None:
        story = Story().started().scheduled("a")
        await write(writer, story.paused() if paused else story)
        with pytest.raises(StoreError, match="'w'"):
            await writer.purge([story.workflow_id])
        assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    async def test_an_open_workflow_keeps_the_others_from_being_purged(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        stories = [Story(name).started() for name in "abc"]
        for story in (stories[0], stories[2]):
            story.completed()
        await write(writer, *stories)
        with pytest.raises(StoreError):
            await writer.purge([story.workflow_id for story in stories])
        for story in stories:
            assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    async def test_a_reopened_workflow_is_not_purged(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().failed().reopened(2)
        await write(writer, story)
        with pytest.raises(StoreError):
            await writer.purge([story.workflow_id])
        assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    async def test_unknown_ids_are_not_purged(self, store: EventStore, writer: StoreWriter) -> None:
        await write(writer, Story().started().completed())
        assert await writer.purge([WorkflowId("nobody"), WorkflowId("w")]) == 1
        assert await writer.purge([WorkflowId("w")]) == 0
        assert await writer.purge([]) == 0

    @pytest.mark.trio
    async def test_a_workflow_named_twice_is_purged_once(self, writer: StoreWriter) -> None:
        await write(writer, Story().started().completed())
        assert await writer.purge([WorkflowId("w"), WorkflowId("w")]) == 1

    @pytest.mark.trio
    async def test_many_workflows_are_purged_at_once(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        stories = [Story(str(number)).started().completed() for number in range(2_000)]
        await write(writer, *stories)
        assert await writer.purge([story.workflow_id for story in stories]) == 2_000
        assert await store.count() == 0

    @pytest.mark.trio
    async def test_messages_of_a_purged_workflow_stay_until_they_are_consumed(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story("sender").started().completed()
        sent = message("m", "receiver", source=sent_by("sender", 2))
        await writer.append_many([story.append(post=[sent])])
        await writer.purge([story.workflow_id])
        assert [stored.message for stored in await store.messages()] == [sent]
        receiver = Story("receiver").started().append(consume=["m"])
        assert list(await writer.append_many([receiver])) == [None]
        assert list(await store.messages()) == []

    @pytest.mark.trio
    async def test_what_waits_for_a_purged_workflow_stays_and_so_do_answers(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        given, waiting = answer("q"), message("m", kind="start")
        await writer.append_many([Story().started().completed().append(answer=[given])])
        await store.post(waiting)
        await writer.purge([WorkflowId("w")])
        assert [stored.message for stored in await store.messages()] == [waiting]
        assert await store.fetch_answer("q") == given

    @pytest.mark.trio
    async def test_an_empty_store_holds_nothing(self, store: EventStore) -> None:
        stats = await store.stats()
        assert _without_bytes(stats) == (0, 0, 0, 0, 0, 0, 0)

    @pytest.mark.trio
    async def test_the_stats_count_what_there_is(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        open_one = Story("open").started().scheduled("a").scheduled("b").timer("t", at(1))
        closed = Story("closed").started().scheduled("a").completed()
        await write(writer, open_one, closed, Story("paused").started().paused())
        append = open_one.append(
            post=[message(f"m{number}") for number in range(5)],
            answer=[answer(f"q{number}") for number in range(6)],
        )
        await writer.append_many([append])
        assert _without_bytes(await store.stats()) == (3, 2, 9, 1, 2, 5, 6)

    @pytest.mark.trio
    async def test_the_stats_count_no_more_what_is_gone(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started().scheduled("a").timer("t", at(1))
        await writer.append_many([story.append(post=[message("m")], answer=[answer("q")])])
        await writer.append_many([story.completed().append(consume=["m"])])
        await writer.forget_answers(at(0))
        await writer.purge([story.workflow_id])
        assert _without_bytes(await store.stats()) == (0, 0, 0, 0, 0, 0, 0)

    @pytest.mark.trio
    async def test_the_check_finds_nothing_in_an_empty_store(self, store: EventStore) -> None:
        assert list(await store.check()) == []

    @pytest.mark.trio
    async def test_the_check_finds_nothing_in_a_sound_store(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        rich = Story("rich").started(run_id="1", attributes={"a": 1, "b": ("x",)}).scheduled("a")
        rich.timer("t", at(1)).continued("2").scheduled("b").scheduled("c").attributes(a=None)
        rich.activity_failed("b", next_attempt_at=at(9)).timer("u", at(2)).signal(id="s")
        failed = Story("failed").started().scheduled("a").activity_failed("a", 5).failed()
        paused = Story("paused").started().scheduled("a").timer("t", at(1)).paused()
        stuck = Story("stuck").started().scheduled("a").timer("t", at(1))
        purged = Story("purged").started().scheduled("a").completed()
        await write(writer, rich, failed, paused, stuck, purged)
        await writer.put_stuck(stuck.workflow_id, "no code")
        await writer.purge([purged.workflow_id])
        await store.post(message("m"))
        assert list(await store.check()) == []


def _without_bytes(stats: StoreStats) -> tuple[int, ...]:
    return (
        stats.workflows,
        stats.open_workflows,
        stats.events,
        stats.timers,
        stats.activities,
        stats.messages,
        stats.answers,
    )
