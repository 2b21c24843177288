"""Messages and answers: posted once, consumed once, in order."""

from __future__ import annotations

import pytest
import trio

from aion_core.contracts import EventStore, Message, StoredMessage, StoreWriter, message_id_of
from aion_core.errors import MessageGoneError, SequenceConflictError
from aion_core.testing.histories import Story, answer, at, message, only, sent_by, write
from aion_core.testing.store_suite.base import SuiteBase

__all__ = ["MessageCases"]


async def _ids(store: EventStore) -> list[str]:
    return [stored.message.message_id for stored in await store.messages()]


class MessageCases(SuiteBase):
    """A message becomes an event exactly once."""

    @pytest.mark.trio
    async def test_an_empty_store_has_no_messages(self, store: EventStore) -> None:
        assert list(await store.messages()) == []

    @pytest.mark.trio
    async def test_a_posted_message_comes_back_as_it_was(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        outside = message("m", "somebody", kind="update", body='{"a": [1, null]}')
        inside = message("n", kind="child outcome", source=sent_by("parent", 7))
        await store.post(outside)
        await writer.append_many([Story("parent").started().append(post=[inside])])
        assert [stored.message for stored in await store.messages()] == [outside, inside]

    @pytest.mark.trio
    async def test_a_message_posted_twice_is_one(self, store: EventStore) -> None:
        await store.post(message("m", body="1"))
        await store.post(message("m", body="2"))
        stored = only(await store.messages())
        assert stored.message == message("m", body="1")

    @pytest.mark.trio
    async def test_a_message_sent_twice_is_one(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story("sender").started()
        source = sent_by("sender", 1)
        sent = message(message_id_of("signal", source, Story().workflow_id), source=source)
        await writer.append_many([story.append(post=[sent])])
        await writer.append_many([story.signal().append(post=[sent, sent])])
        assert [stored.message for stored in await store.messages()] == [sent]

    @pytest.mark.trio
    async def test_a_message_sent_twice_leaves_the_second_append_whole(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story("sender").started()
        await writer.append_many([story.append(post=[message("m")])])
        refusals = await writer.append_many(
            [story.signal().append(post=[message("m"), message("n")])]
        )
        assert list(refusals) == [None]
        assert await _ids(store) == ["m", "n"]
        assert len(await store.read_history(story.workflow_id)) == 2

    @pytest.mark.trio
    async def test_a_consumed_message_is_gone(self, store: EventStore, writer: StoreWriter) -> None:
        await store.post(message("m"))
        await store.post(message("n"))
        story = Story().started().signal(id="m")
        assert list(await writer.append_many([story.append(consume=["m"])])) == [None]
        assert await _ids(store) == ["n"]

    @pytest.mark.trio
    async def test_a_message_is_consumed_by_one_append_only(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await store.post(message("m"))
        story = Story().started()
        await writer.append_many([story.append(consume=["m"])])
        (refusal,) = await writer.append_many([story.signal().append(consume=["m"])])
        assert isinstance(refusal, MessageGoneError)
        assert (refusal.workflow_id, refusal.message_id) == ("w", "m")

    @pytest.mark.trio
    async def test_of_two_appends_in_a_batch_one_consumes_a_message(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await store.post(message("m"))
        story = Story().started()
        first = story.append(consume=["m"])
        second = story.signal(id="m").append(consume=["m"])
        refusals = await writer.append_many([first, second])
        assert refusals[0] is None
        assert isinstance(refusals[1], MessageGoneError)
        assert len(await store.read_history(story.workflow_id)) == 1

    @pytest.mark.trio
    async def test_a_message_cannot_be_consumed_twice_in_an_append(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await store.post(message("m"))
        (refusal,) = await writer.append_many([Story().started().append(consume=["m", "m"])])
        assert isinstance(refusal, MessageGoneError)
        assert await _ids(store) == ["m"]

    @pytest.mark.trio
    async def test_a_gone_message_leaves_nothing_of_its_append(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await store.post(message("m"))
        story = Story().started().timer("t", at(1)).scheduled("a").signal(id="s")
        append = story.append(
            consume=["m", "gone"], post=[message("n", "other")], answer=[answer("q")]
        )
        (refusal,) = await writer.append_many([append])
        assert isinstance(refusal, MessageGoneError)
        assert list(await store.read_history(story.workflow_id)) == []
        assert await store.read_summary(story.workflow_id) is None
        assert await store.next_timer() is None
        assert list(await store.open_activities()) == []
        assert await _ids(store) == ["m"]
        assert await store.fetch_answer("q") is None
        assert list(await store.feed()) == []
        assert await store.seen(story.workflow_id, ["s"]) == frozenset()

    @pytest.mark.trio
    async def test_a_gone_message_refuses_its_append_alone(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await store.post(message("m", "right"))
        right, wrong = Story("right").started(), Story("wrong").started()
        refusals = await writer.append_many(
            [wrong.append(consume=["gone"]), right.append(consume=["m"])]
        )
        assert isinstance(refusals[0], MessageGoneError)
        assert refusals[1] is None
        assert await _ids(store) == []

    @pytest.mark.trio
    async def test_a_message_to_another_workflow_cannot_be_consumed(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await store.post(message("m", "other"))
        (refusal,) = await writer.append_many([Story().started().append(consume=["m"])])
        assert isinstance(refusal, MessageGoneError)
        assert await _ids(store) == ["m"]

    @pytest.mark.trio
    async def test_a_conflict_leaves_its_messages_as_they_were(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started()
        await write(writer, story)
        await store.post(message("m"))
        stale = Story().started().append(consume=["m"], post=[message("n")], answer=[answer("q")])
        (refusal,) = await writer.append_many([stale])
        assert isinstance(refusal, SequenceConflictError)
        assert await _ids(store) == ["m"]
        assert await store.fetch_answer("q") is None

    @pytest.mark.trio
    async def test_events_that_cannot_follow_leave_their_messages_as_they_were(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started()
        await write(writer, story)
        await store.post(message("m"))
        story.signal(id="m").cancel_requested("nothing")
        (refusal,) = await writer.append_many(
            [story.append(consume=["m"], post=[message("n")], answer=[answer("q")])]
        )
        assert refusal is not None
        assert await _ids(store) == ["m"]
        assert await store.fetch_answer("q") is None

    @pytest.mark.trio
    async def test_an_append_without_events_consumes_posts_and_answers(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        story = Story().started()
        await write(writer, story)
        await store.post(message("m"))
        append = story.append(consume=["m"], post=[message("n")], answer=[answer("m")])
        assert list(append.events) == []
        assert list(await writer.append_many([append])) == [None]
        assert await _ids(store) == ["n"]
        assert await store.fetch_answer("m") == answer("m")
        assert list(await store.read_history(story.workflow_id)) == story.events

    @pytest.mark.trio
    async def test_a_message_to_nobody_can_be_consumed(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await store.post(message("m", "nobody"))
        (refusal,) = await writer.append_many([Story("nobody").append(consume=["m"])])
        assert refusal is None
        assert await _ids(store) == []
        assert await store.read_summary(Story("nobody").workflow_id) is None

    @pytest.mark.trio
    async def test_a_message_posted_earlier_in_a_batch_can_be_consumed(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        sender, receiver = Story("sender").started(), Story("receiver").started()
        refusals = await writer.append_many(
            [
                sender.append(post=[message("m", "receiver")]),
                receiver.append(consume=["m"]),
            ]
        )
        assert list(refusals) == [None, None]
        assert await _ids(store) == []

    @pytest.mark.trio
    async def test_a_consumed_message_without_an_answer_can_be_posted_again(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await store.post(message("m"))
        await writer.append_many([Story().started().append(consume=["m"])])
        await store.post(message("m", body="2"))
        assert [stored.message for stored in await store.messages()] == [message("m", body="2")]

    @pytest.mark.trio
    async def test_messages_keep_the_order_of_posting(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await store.post(message("z"))
        first = Story("1").started().append(post=[message("y"), message("x", "other")])
        second = Story("2").started().append(post=[message("w2"), message("a")])
        await writer.append_many([first, second])
        await store.post(message("b"))
        assert await _ids(store) == ["z", "y", "x", "w2", "a", "b"]

    @pytest.mark.trio
    async def test_positions_of_messages_ascend_and_are_never_given_twice(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        given: list[int] = []
        story = Story().started()
        await write(writer, story)
        for turn in range(4):
            await store.post(message(f"{turn}a"))
            await store.post(message(f"{turn}b"))
            given += [stored.position for stored in await store.messages()]
            # All of them: the place of the last one is not to be given again.
            await writer.append_many([story.append(consume=[f"{turn}a", f"{turn}b"])])
        assert len(given) == 8
        assert given == sorted(set(given))

    @pytest.mark.trio
    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
    async def test_messages_come_in_pages(
        self, store: EventStore, writer: StoreWriter, limit: int
    ) -> None:
        for number in range(7):
            await store.post(message(f"m{number}", "ab"[number % 2]))
        found: list[StoredMessage] = []
        while page := await store.messages(found[-1].position if found else 0, limit):
            assert len(page) <= limit
            found += page
        assert [stored.message.message_id for stored in found] == [f"m{n}" for n in range(7)]

    @pytest.mark.trio
    async def test_pages_of_messages_stay_while_messages_come_and_go(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        for number in range(6):
            await store.post(message(f"m{number}"))
        first = await store.messages(limit=3)
        await writer.append_many([Story().started().append(consume=["m0", "m2", "m4"])])
        await store.post(message("late"))
        second = await store.messages(first[-1].position, 9)
        found = [stored.message.message_id for stored in (*first, *second)]
        assert found == ["m0", "m1", "m2", "m3", "m5", "late"]

    @pytest.mark.trio
    @pytest.mark.parametrize("limit", [0, -1])
    async def test_a_page_without_messages_is_a_mistake(
        self, store: EventStore, limit: int
    ) -> None:
        with pytest.raises(ValueError, match="1"):
            await store.messages(limit=limit)

    @pytest.mark.trio
    async def test_messages_can_be_posted_where_nobody_writes(self, store: EventStore) -> None:
        await store.post(message("m"))
        assert await _ids(store) == ["m"]

    @pytest.mark.trio
    async def test_messages_posted_at_once_are_all_kept(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(store.post, message(f"m{number}"))
                nursery.start_soon(store.post, message("same"))
        assert sorted(await _ids(store)) == sorted([*(f"m{n}" for n in range(20)), "same"])

    @pytest.mark.trio
    async def test_a_message_consumed_by_twenty_at_once_is_consumed_by_one(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await store.post(message("m"))
        told: list[object] = []

        async def consume() -> None:
            told.extend(await writer.append_many([Story().append(consume=["m"])]))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(consume)
        assert told.count(None) == 1
        assert sum(isinstance(refusal, MessageGoneError) for refusal in told) == 19

    @pytest.mark.trio
    async def test_what_has_no_answer_has_none(self, store: EventStore) -> None:
        await store.post(message("m"))
        assert await store.fetch_answer("m") is None
        assert await store.fetch_answer("unknown") is None

    @pytest.mark.trio
    async def test_an_answer_stays_when_it_is_fetched(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        given = answer("m", body='{"a": 1}', answered_at=1.000001)
        await writer.append_many([Story().started().append(answer=[given])])
        assert await store.fetch_answer("m") == given
        assert await store.fetch_answer("m") == given

    @pytest.mark.trio
    async def test_of_two_answers_to_one_message_the_last_is_kept(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        first, last = (answer("m", body=body, answered_at=9) for body in ("1", "2"))
        await writer.append_many([Story().started().append(answer=[first])])
        await writer.append_many([Story("other").started().append(answer=[last])])
        assert await store.fetch_answer("m") == last

    @pytest.mark.trio
    async def test_a_message_can_be_posted_again_where_it_is_consumed(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await store.post(message("m"))
        again = message("m", body='"again"')
        append = Story().started().append(consume=["m"], post=[again])
        assert list(await writer.append_many([append])) == [None]
        assert [stored.message for stored in await store.messages()] == [again]

    @pytest.mark.trio
    async def test_a_message_with_an_answer_is_not_posted_again(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await store.post(message("m"))
        story = Story().started()
        await writer.append_many([story.append(consume=["m"], answer=[answer("m")])])
        await store.post(message("m"))
        await writer.append_many([story.append(post=[message("m")])])
        assert await _ids(store) == []
        assert await store.fetch_answer("m") == answer("m")

    @pytest.mark.trio
    async def test_answers_are_forgotten_up_to_an_instant(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        answers = [answer(str(n), answered_at=n) for n in range(5)]
        await writer.append_many([Story().started().append(answer=answers)])
        assert await writer.forget_answers(at(2)) == 3
        assert [await store.fetch_answer(str(n)) is not None for n in range(5)] == [
            False,
            False,
            False,
            True,
            True,
        ]
        assert await writer.forget_answers(at(2)) == 0

    @pytest.mark.trio
    async def test_a_message_whose_answer_is_forgotten_can_be_posted(
        self, store: EventStore, writer: StoreWriter
    ) -> None:
        await writer.append_many([Story().started().append(answer=[answer("m")])])
        await writer.forget_answers(at(0))
        await store.post(message("m"))
        assert await _ids(store) == ["m"]

    @pytest.mark.trio
    async def test_a_body_of_one_mebibyte_comes_back(self, store: EventStore) -> None:
        sent: Message = message("m", body='"' + "x" * 2**20 + '"')
        await store.post(sent)
        stored = only(await store.messages())
        assert stored.message == sent
