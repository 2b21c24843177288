"""The mailroom: what goes wrong on the way between a client and a run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
import trio

import aion_runtime as aion
from aion_core.contracts import Answer, Append, EventStore, Message, MessageKind, StoredMessage
from aion_core.errors import AionError, CorruptHistoryError, StoreUnavailableError
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.machine import arrivals as a
from aion_core.payloads import JSON, Payload
from aion_runtime.forgetting import KEPT_FOR, AnswerRetention
from aion_runtime.letters import arrival_in, query_in, query_message, request_message
from aion_runtime.replies import raise_refusal, reply, reply_with, value_in
from aion_runtime.testing import VirtualClock
from aion_runtime.testing.wrapping import WrappedStore
from aion_store_memory.store import MemoryStore
from tests.runtime.clients import account, approval, total

AT = datetime(2030, 1, 1, tzinfo=UTC)
W = WorkflowId("w")


@attrs.frozen
class Rash:
    number: int

    def __attrs_post_init__(self) -> None:
        raise SystemExit(3)


@aion.workflow
async def rash(value: Rash) -> None:
    """Never begins."""


class Ailing(WrappedStore):
    """A store whose messages cannot always be read; and it does not tell when there are some."""

    def __init__(self, inner: EventStore) -> None:
        super().__init__(inner)
        self.errors: list[Exception] = []
        self.looks = 0

    def watch(self, notify: Callable[[], None]) -> AbstractContextManager[bool]:
        return nullcontext(False)

    async def messages(self, after: int = 0, limit: int = 1000) -> Sequence[StoredMessage]:
        self.looks += 1
        if self.errors:
            raise self.errors.pop()
        return await super().messages(after, limit)


async def test_a_store_that_cannot_be_read_for_a_while_costs_only_time() -> None:
    store = Ailing(MemoryStore())
    async with aion.open_engine(store, workflows=[account]), aion.open_client(store) as client:
        store.errors = [StoreUnavailableError("the disk is away")] * 3
        run = await client.start(account, 5)
        assert await run.query(total) == 5
        assert store.errors == []


async def test_a_store_that_cannot_tell_is_looked_at_again_and_again() -> None:
    store = Ailing(MemoryStore())
    async with aion.open_engine(store, workflows=[account]), aion.open_client(store) as client:
        with trio.fail_after(5):
            await client.start(account, 5)
        assert store.looks > 1


async def test_an_engine_that_stops_leaves_what_comes_to_the_next() -> None:
    store = MemoryStore()
    async with aion.open_client(store) as client, trio.open_nursery() as nursery:
        async with aion.open_engine(store, workflows=[account]) as engine:
            await engine.start(account, 5, workflow_id="w")
        answers: list[int] = []

        async def ask() -> None:
            answers.append(await client.get("w").query(total))

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        async with aion.open_engine(store, workflows=[account]):
            with trio.fail_after(5):
                while not answers:  # noqa: ASYNC110  # the client looks now and then
                    await trio.sleep(0.01)
        assert answers == [5]


async def test_a_message_that_cannot_be_read_is_left_and_in_nobodys_way() -> None:
    store = MemoryStore()
    async with aion.open_engine(store, workflows=[account]), aion.open_client(store) as client:
        broken = request_message(W, a.CancelRequest(reason="x"), "1", AT)
        await store.post(attrs.evolve(broken, body=Payload(JSON, b"no JSON")))
        run = await client.start(account, 5)
        await run.signal(approval, True)
        assert await run.result() == "5"
    assert [stored.message.kind for stored in await store.messages()] == ["cancel"]


@pytest.mark.parametrize("target", ["w", "nobody"])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE messages SET kind = 'wave'",
        "UPDATE messages SET message_id = ''",
        "UPDATE messages SET posted_at = 'now'",
        "UPDATE messages SET body = 'text'",
    ],
)
async def test_an_engine_opens_and_works_beside_a_message_that_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: str, target: str
) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    async with aion.open_engine(url, workflows=[account]) as engine:
        run = await engine.start(account, 5, workflow_id="w")
    async with aion.open_store(url) as store:
        await store.post(query_message(WorkflowId(target), "total", "1", AT))
        await store.post(request_message(W, approving(), "2", AT))
    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as connection:
        connection.execute(f"{change} WHERE position = 1")
    async with aion.open_engine(url, workflows=[account]) as engine:
        with trio.fail_after(5):
            assert await engine.get("w").result() == "5"
        # One that comes later, too, is in nobody's way.
        async with aion.open_client(url) as client:
            run = await client.start(account, 7, workflow_id="next")
            assert await run.query(total) == 7
            explanation = await client.explain("next")
            assert explanation.messages == {}
    async with aion.open_store(url) as store:
        assert [stored.position for stored in await store.messages()] == [1]
    (said,) = [each for each in caplog.messages if "left in the store" in each]
    assert f"to workflow {target!r} cannot be read" in said


async def test_a_message_of_a_later_version_is_left_while_the_engine_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    async with aion.open_engine(url, workflows=[account]), aion.open_client(url) as client:
        run = await client.start(account, 5, workflow_id="w")
        with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as connection:
            connection.execute(
                "INSERT INTO messages (message_id, kind, target, posted_at, body_type, body) "
                "VALUES ('m', 'wave', 'w', 0, 'json', x'7b7d')"
            )
        with trio.fail_after(5):
            assert await run.query(total) == 5
            assert (await client.explain("w")).messages == {"unreadable": 1}
    assert sum("message 'm' to workflow 'w'" in each for each in caplog.messages) == 1


async def test_what_waits_when_a_store_is_opened_is_handed_on_in_its_order(tmp_path: Path) -> None:
    number = aion.Signal("number", int)

    @aion.workflow(accepts=[number])
    async def note() -> list[int]:
        return [await number.receive() for _ in range(150)]

    url = f"sqlite:///{tmp_path}/s.db"
    async with aion.open_engine(url, workflows=[note]) as engine:
        await engine.start(note, workflow_id="w")
    async with aion.open_store(url) as store:
        for each in range(150):
            sent = a.SignalSentToRun(
                name="number", payload=Payload(JSON, b"%d" % each), signal_id=str(each)
            )
            await store.post(request_message(W, sent, str(each), AT))
    async with aion.open_engine(url, workflows=[note]) as engine:
        assert await engine.get("w").result() == list(range(150))


async def test_a_store_that_cannot_be_read_when_it_is_opened_is_said_to_be_so() -> None:
    class Broken(WrappedStore):
        async def read_summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
            raise StoreUnavailableError("the disk is away")

    store = MemoryStore()
    async with aion.open_engine(store, workflows=[account]) as engine:
        await engine.start(account, 5, workflow_id="w")
    for each in "123":
        await store.post(request_message(W, approving(), each, AT))
    with pytest.raises(StoreUnavailableError, match="the disk is away"):
        async with aion.open_engine(Broken(store), workflows=[account]):
            raise AssertionError("it was opened")


def approving() -> a.SignalSentToRun:
    return a.SignalSentToRun(
        name="approval", payload=Payload(JSON, b"true"), signal_id="from-elsewhere"
    )


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("signal", b"[" * 50_000 + b"]" * 50_000),
        (
            "signal",
            b'{"kind": "UpdateAccepted", "event": {"name": "add", "arg": {"json": "1"}, '
            b'"update_id": "u"}}',
        ),
        ("cancel", b'{"kind": "WorkflowCancelRequested", "event": {"reason": "\\ud800"}}'),
        ("retry", b'{"activity_id": []}'),
    ],
    ids=["deep", "of another kind", "half a surrogate pair", "no id"],
)
async def test_a_message_nobody_can_take_stops_neither_its_run_nor_others(
    kind: MessageKind, body: bytes
) -> None:
    store = MemoryStore()
    async with aion.open_engine(store, workflows=[account]), aion.open_client(store) as client:
        run = await client.start(account, 5, workflow_id="w")
        broken = Message(
            message_id="m", kind=kind, target=W, body=Payload(JSON, body), posted_at=AT
        )
        await store.post(broken)
        with trio.fail_after(5):
            await client.start(account, 1, workflow_id="next")
            await run.signal(approval, True)
            await run.result()


async def test_a_value_whose_type_wants_to_exit_is_refused_and_the_engine_goes_on() -> None:
    store = MemoryStore()
    engine = aion.open_engine(store, workflows=[account, rash])
    async with engine, aion.open_client(store) as client:
        with pytest.raises(aion.PayloadError, match="SystemExit: 3"):
            await client.start_named("rash", {"value": {"number": 1}})
        await client.start(account, 5)


async def test_old_answers_are_forgotten_and_new_ones_kept() -> None:
    class Hasty(VirtualClock):
        async def nap(self, seconds: float) -> None:
            await trio.lowlevel.checkpoint()

    clock = Hasty(AT)
    store = MemoryStore()
    async with store.writer() as writer:
        answers = [
            reply("old", None, AT - KEPT_FOR),
            reply("new", None, AT - KEPT_FOR + timedelta(seconds=1)),
        ]
        await writer.append_many([Append(W, (), 0, answer=answers)])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(AnswerRetention(writer, clock, lambda error: None).run)
            while (await store.stats()).answers > 1:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert await store.fetch_answer("old") is None
    assert await store.fetch_answer("new") is not None


@pytest.mark.parametrize(
    "arrival",
    [
        a.RetryRequest(),
        a.RetryRequest(activity_id="charge-1"),  # type: ignore[arg-type]
        a.SupplyRequest(
            activity_id="charge-1",  # type: ignore[arg-type]
            outcome=a.AttemptCompleted(Payload(JSON, b"1")),
            supplied_by="anna",
        ),
        a.SupplyRequest(
            activity_id="charge-1",  # type: ignore[arg-type]
            outcome=a.AttemptFailed(aion.Failure(type="Lost", message="it is"), non_retryable=True),
            supplied_by="anna",
        ),
        a.CancelRequest(reason="enough"),
        a.TerminateRequest(reason="enough"),
        a.SignalSentToRun(name="s", payload=Payload("x/y", b"\xff"), signal_id="1"),
        a.UpdateSentToRun(name="u", arg=Payload(JSON, b"1"), update_id="1"),
        a.StartRequest(
            workflow_type="w",
            input=Payload(JSON, b"{}"),
            run_id="r",  # type: ignore[arg-type]
            package_version=None,
            random_seed=7,
            not_before=AT,
            attributes={"kind": "x"},
        ),
    ],
    ids=lambda arrival: type(arrival).__name__,
)
def test_a_request_comes_back_from_its_message(arrival: a.Arrival) -> None:
    message = request_message(W, arrival, "1", AT)
    assert message.source is None
    assert arrival_in(message) == arrival


def test_a_query_comes_back_from_its_message() -> None:
    assert query_in(query_message(W, "total", "1", AT)) == "total"


def test_messages_of_two_sendings_are_two() -> None:
    first, second = (
        request_message(W, a.CancelRequest(reason="x"), sender_id, AT) for sender_id in "12"
    )
    assert first.message_id != second.message_id


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"query": 7}', b'{"kind": "No"}', b"\xff"])
@pytest.mark.parametrize("kind", ["query", "retry", "supply", "signal"])
def test_a_message_that_is_out_of_shape_says_which(kind: str, body: bytes) -> None:
    message = Message(
        message_id="m",
        kind=kind,  # type: ignore[arg-type]
        target=W,
        body=Payload(JSON, body),
        posted_at=AT,
    )
    with pytest.raises(CorruptHistoryError, match="message m"):
        query_in(message) if kind == "query" else arrival_in(message)


@pytest.mark.parametrize(
    "error",
    [
        aion.WorkflowNotFoundError("w"),
        aion.WorkflowClosedError("w", "Completed"),
        aion.WorkflowStuckError("w", "no code"),
        aion.UnknownWorkflowTypeError("w", ("a", "b")),
        aion.PayloadError("$: not a number"),
        aion.UpdateRejectedError("no"),
        aion.QueryError("no \ud800"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refusal_is_raised_as_the_engine_raised_it(error: AionError) -> None:
    with pytest.raises(type(error)) as raised:
        raise_refusal(through_the_store(reply("m", error, AT)))
    assert type(raised.value) is type(error)
    assert str(raised.value) == str(error).replace("\ud800", "\\ud800")
    assert vars(raised.value) == vars(error)


def test_a_refusal_of_a_class_that_is_not_known_keeps_its_text() -> None:
    class NewError(AionError):
        """Of an engine of a later version."""

    with pytest.raises(AionError, match="something new") as raised:
        raise_refusal(through_the_store(reply("m", NewError("something new"), AT)))
    assert type(raised.value) is AionError


@pytest.mark.parametrize("value", [Payload(JSON, b'"\xc3\xa4"'), Payload("x/y", b"\xff\x00")])
def test_a_value_comes_back_from_its_answer(value: Payload) -> None:
    assert value_in(through_the_store(reply_with("m", value, AT))) == value


def through_the_store(answer: Answer) -> Answer:
    """As a store gives it back: its body is text that a file can hold."""
    body = json.dumps(json.loads(answer.body.data), ensure_ascii=False).encode()
    return attrs.evolve(answer, body=Payload(JSON, body))
