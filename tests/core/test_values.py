"""Search attributes, messages and filters: the small values of the contracts."""

import enum
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from aion_core.contracts import Message, RunFilter, RunRef, message_id_of, sent_message_id
from aion_core.errors import InvalidIdError
from aion_core.history import WorkflowSummary
from aion_core.ids import RunId, WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.policies import Limit, Rate
from aion_core.status import WorkflowStatus
from aion_core.values import checked_attributes, merged_attributes

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
RUN = WorkflowSummary(
    workflow_id=WorkflowId("order-1042"),
    run_id=RunId("r"),
    workflow_type="checkout",
    status=WorkflowStatus.FAILED,
    started_at=NOON,
    closed_at=NOON + timedelta(hours=1),
    attributes={"shop": "b", "vip": True, "items": 3, "tags": ("new", "big"), "due": NOON},
    failure_reason="Declined: no money",
)
WEST = timezone(timedelta(hours=-12))
SOURCE = RunRef(WorkflowId("w"), RunId("r"), 7)


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Ratio(float):
    pass


def test_a_list_of_texts_is_kept_as_a_tuple() -> None:
    assert checked_attributes({"tags": ["a", "b"]}) == {"tags": ("a", "b")}


def test_an_instant_is_kept_in_utc() -> None:
    local = datetime(2024, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    kept = checked_attributes({"due": local})["due"]
    assert isinstance(kept, datetime)
    assert (kept, kept.tzinfo) == (NOON, UTC)


@pytest.mark.parametrize(
    ("value", "kept"),
    [(Colour.RED, "red"), (Level.HIGH, 3), (Ratio(0.5), 0.5), ([Colour.RED], ("red",))],
    ids=["text", "integer", "float", "texts"],
)
def test_a_value_of_a_subclass_is_kept_as_its_plain_value(value: object, kept: object) -> None:
    (found,) = checked_attributes({"a": value}).values()
    assert (repr(found), type(found)) == (repr(kept), type(kept))


def test_an_instant_of_a_subclass_is_kept_as_a_plain_one() -> None:
    class Moment(datetime):
        pass

    (found,) = checked_attributes({"a": Moment(2024, 3, 1, 12, tzinfo=UTC)}).values()
    assert (found, type(found)) == (NOON, datetime)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"": 1}, "name is non-empty printable text"),
        ({"a\n": 1}, "name is non-empty printable text"),
        ({"a": "\ud800"}, "'a' holds half a surrogate pair"),
        ({"a": ["x", "\ud800"]}, "'a' holds half a surrogate pair"),
        ({"a": float("nan")}, "'a' must be a finite number"),
        ({"a": datetime(2024, 3, 1)}, "'a' needs an instant with its zone"),  # noqa: DTZ001
        ({"a": datetime.max.replace(tzinfo=WEST)}, "'a' has no date in UTC"),
        ({"a": 10**5000}, "'a' has more digits"),
    ],
    ids=["no name", "name", "text", "texts", "nan", "naive", "no date", "digits"],
)
def test_an_attribute_that_means_nothing_is_refused(
    attributes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        checked_attributes(attributes)


@pytest.mark.parametrize("value", [b"x", {"a": 1}, ["a", 1], object()], ids=lambda v: str(type(v)))
def test_an_attribute_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="'a' must be a text, a number"):
        checked_attributes({"a": value})


def test_attributes_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(TypeError, match="attributes are a mapping of names to values, not 5"):
        checked_attributes(5)  # type: ignore[arg-type]  # that is the point


def test_merging_leaves_both_sides_as_they_are() -> None:
    base = {"a": 1, "b": 2}
    update = {"a": None, "c": 3}
    assert merged_attributes(base, update) == {"b": 2, "c": 3}
    assert (base, update) == ({"a": 1, "b": 2}, {"a": None, "c": 3})


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, True),
        ({"workflow_type": "checkout"}, True),
        ({"workflow_type": "check"}, False),
        ({"status": WorkflowStatus.FAILED}, True),
        ({"status": WorkflowStatus.RUNNING}, False),
        ({"stuck": False}, True),
        ({"stuck": True}, False),
        ({"started_from": NOON, "started_to": NOON}, True),
        ({"started_from": NOON + timedelta(microseconds=1)}, False),
        ({"closed_to": NOON + timedelta(hours=1)}, True),
        ({"closed_to": NOON}, False),
        ({"attributes": {"shop": "b", "items": 3}}, True),
        ({"attributes": {"items": 3.0}}, True),
        ({"attributes": {"vip": 1}}, False),
        ({"attributes": {"absent": 1}}, False),
        ({"attributes": {"tags": ("new", "big")}}, True),
        ({"attributes": {"tags": ("big", "new")}}, False),
        ({"attributes": {"due": NOON}}, True),
        ({"text": "1042"}, True),
        ({"text": "no money"}, True),
        ({"text": "NO MONEY"}, False),
        ({"text": "order", "status": WorkflowStatus.RUNNING}, False),
    ],
    ids=str,
)
def test_a_filter_asks_for_all_that_it_says(criteria: dict[str, Any], expected: bool) -> None:
    assert RunFilter(**criteria).matches(RUN) is expected


def test_an_open_run_is_within_no_bounds_of_its_end() -> None:
    open_run = WorkflowSummary(
        workflow_id=WorkflowId("w"),
        run_id=RunId("r"),
        workflow_type="t",
        status=WorkflowStatus.RUNNING,
        started_at=NOON,
    )
    assert not RunFilter(closed_from=NOON).matches(open_run)


def test_a_run_sends_one_message_of_a_kind_to_a_target_by_an_event() -> None:
    ids = {
        message_id_of("signal", SOURCE, WorkflowId("x")),
        message_id_of("signal", SOURCE, WorkflowId("x")),
        message_id_of("signal", SOURCE, WorkflowId("y")),
        message_id_of("child cancel", SOURCE, WorkflowId("x")),
        message_id_of("signal", RunRef(WorkflowId("w"), RunId("r"), 8), WorkflowId("x")),
        message_id_of("signal", RunRef(WorkflowId("w"), RunId("s"), 7), WorkflowId("x")),
    }
    assert len(ids) == 5


@pytest.mark.parametrize("message_id", ["", "a\nb"])
def test_a_message_needs_a_printable_id(message_id: str) -> None:
    with pytest.raises(InvalidIdError, match="message_id"):
        Message(
            message_id=message_id,
            kind="signal",
            target=WorkflowId("w"),
            body=Payload(JSON, b"{}"),
            posted_at=NOON,
        )


def test_a_message_of_an_unknown_kind_is_refused() -> None:
    kind: Any = "wave"
    with pytest.raises(ValueError, match="message 'm' is of the unknown kind 'wave'"):
        Message(
            message_id="m",
            kind=kind,
            target=WorkflowId("w"),
            body=Payload(JSON, b"{}"),
            posted_at=NOON,
        )


def test_a_rate_may_be_written_as_a_pair() -> None:
    assert Limit("stripe", rate=(100, 60)).rate == Rate(100, 60)


@pytest.mark.parametrize(
    "limit",
    [{"name": ""}, {"name": "a", "concurrency": 0}, {"name": "a", "rate": (0, 1)}],
    ids=str,
)
def test_a_limit_that_allows_nothing_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the texts are those of attrs
        Limit(**limit)


def test_a_message_from_outside_is_one_of_its_kind_target_and_senders_id() -> None:
    ids = {
        sent_message_id("signal", WorkflowId("w"), "s"),
        sent_message_id("signal", WorkflowId("w"), "s"),
        sent_message_id("update", WorkflowId("w"), "s"),
        sent_message_id("signal", WorkflowId("x"), "s"),
        sent_message_id("signal", WorkflowId("w"), "t"),
    }
    assert len(ids) == 4
