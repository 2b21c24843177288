"""Rows of the contract as text, for stores that keep them as such."""

from datetime import UTC, datetime
from typing import Any

import pytest

from aion_core.contracts import Answer, Append, Message, Package, RunRef, UnreadableMessage
from aion_core.errors import StoreError
from aion_core.events import ParentRef, TimerCancelled, TimerRow
from aion_core.history import ActivityRow, RateRow, WorkflowSummary
from aion_core.ids import ActivityId, ChildKey, PackageVersion, RunId, TimerId, WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.status import WorkflowStatus
from aion_core.storing import event_rows, read_message, read_row, write_row

NOON = datetime(2024, 3, 1, 12, 0, 0, 7, tzinfo=UTC)
ROWS: list[Any] = [
    WorkflowSummary(
        workflow_id=WorkflowId("w \u0627"),
        run_id=RunId("r"),
        workflow_type="t",
        status=WorkflowStatus.PAUSED,
        started_at=NOON,
        closed_at=NOON,
        events=3,
        parent=ParentRef(
            workflow_id=WorkflowId("p"), run_id=RunId("q"), child_key=ChildKey("child:0")
        ),
        attributes={"a": True, "b": 1, "c": 1.0, "d": NOON, "e": ("x", "y"), "f": "1"},
        failed_activity=ActivityId("activity:0"),
        failure_reason="no",
        stuck="why",
    ),
    TimerRow(timer_id=TimerId("timer:0"), started_seq=2, fire_at=NOON),
    ActivityRow(
        activity_id=ActivityId("activity:0"),
        activity_type="charge",
        scheduled_seq=2,
        attempt=3,
        delivery=2,
        next_attempt_at=NOON,
        cancel_requested=True,
        held=True,
        deadline=NOON,
        rate=RateRow("stripe", 60.0),
    ),
    Message(
        message_id="m",
        kind="child outcome",
        target=WorkflowId("w"),
        body=Payload("application/x", b"\xff\x00"),
        posted_at=NOON,
        source=RunRef(WorkflowId("v"), RunId("r"), 7),
    ),
    Answer(message_id="m", body=Payload(JSON, b"1"), answered_at=NOON),
    Package(
        workflow_type="t",
        version=PackageVersion("h1:0"),
        archive=b"\x00\xff",
        deployed_at=NOON,
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_a_row_comes_back_as_it_was(row: Any) -> None:
    again = read_row(type(row), write_row(row))
    assert again == row
    assert repr(again) == repr(row)  # to Python True, 1 and 1.0 are equal


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"workflow_id":1}', "\xff"], ids=["empty", "list", "bare", "int", "x"]
)
def test_what_is_no_row_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match="a stored WorkflowSummary cannot be read"):
        read_row(WorkflowSummary, text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('{"message_id":"m","kind":"wave","target":"w","posted_at":1}', ("m", "wave", "w")),
        ('{"message_id":"m"}', ("m", "None", "None")),
        ("[]", ("None", "None", "None")),
        ("{", ("None", "None", "None")),
    ],
)
def test_of_a_message_that_cannot_be_read_is_handed_on_what_is_left(
    text: str, left: tuple[str, str, str]
) -> None:
    message = read_message(text)
    assert isinstance(message, UnreadableMessage)
    assert (message.message_id, message.kind, message.target) == left
    assert "a stored Message cannot be read" in message.reason
    assert message.source is None


def test_an_event_without_an_instant_is_not_stored() -> None:
    event = TimerCancelled(
        seq=1,
        recorded_at=None,  # type: ignore[arg-type]  # which is the point
        workflow_id=WorkflowId("w"),
        timer_id=TimerId("timer:0"),
    )
    with pytest.raises(StoreError, match="event 1 of workflow 'w' cannot be stored"):
        event_rows(Append(workflow_id=WorkflowId("w"), expected_seq=0, events=[event]))


def test_half_a_surrogate_pair_is_not_stored() -> None:
    with pytest.raises(StoreError, match="cannot be stored"):
        write_row(TimerRow(timer_id=TimerId("\ud800"), started_seq=2, fire_at=NOON))
