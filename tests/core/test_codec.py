"""The codec: every event comes back; what does not fit is corrupt, and the error says where."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_core import events as e
from aion_core.codec import decode_event, encode_event, from_micros, kind_of, to_micros
from aion_core.errors import CorruptHistoryError
from aion_core.failures import Failure
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.policies import MAX_SECONDS, ActivityOptions, RetryPolicy

AT = datetime(2024, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
ENVELOPE: dict[str, Any] = {"seq": 1, "recorded_at": AT, "workflow_id": WorkflowId("w")}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ordinals = st.integers(1, 10**6)
instants = st.timedeltas(timedelta(0), timedelta(days=365 * 7_000)).map(lambda age: AT + age)
durations = st.floats(0, MAX_SECONDS)
payloads = st.builds(Payload, st.just(JSON) | texts, st.binary(max_size=20) | texts.map(str.encode))
kinds = st.sampled_from(["retryable", "terminal", "timeout", "cancelled", "crashed"])
failures: st.SearchStrategy[Failure] = st.deferred(
    lambda: st.builds(
        Failure,
        type=texts,
        message=texts,
        kind=st.none() | kinds,
        notes=st.lists(texts, max_size=2).map(tuple),
        cause=st.none() | failures,
        members=st.lists(failures, max_size=1).map(tuple),
        stack=texts,
    )
)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.none() | ordinals,
    initial_interval=durations,
    backoff=st.floats(1, 1e6),
    max_interval=durations,
    non_retryable=st.lists(texts, max_size=2).map(tuple),
)
options = st.builds(
    ActivityOptions,
    retry=policies,
    start_to_close=st.none() | st.floats(1e-3, MAX_SECONDS),
    key=st.none() | texts,
)
parents = st.builds(
    e.ParentRef,
    workflow_id=texts.map(WorkflowId),
    run_id=texts.map(RunId),
    child_key=texts,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "seq": ordinals,
    "recorded_at": instants,
    "workflow_id": texts,
    "workflow_type": texts,
    "input": payloads,
    "run_id": texts,
    "continued_from": st.none() | texts,
    "package_version": texts,
    "random_seed": st.integers(0, 2**63),
    "parent": st.none() | parents,
    "attributes": st.none() | st.dictionaries(texts, st.integers() | texts | st.lists(texts)),
    "run_deadline": st.none() | instants,
    "not_before": st.none() | instants,
    "memo": st.none() | payloads,
    "result": payloads,
    "error": failures,
    "activity_id": texts,
    "activity_type": texts,
    "options": options,
    "attempt": ordinals,
    "delivery": ordinals,
    "supplied_by": st.none() | texts,
    "next_attempt_at": st.none() | instants,
    "held": st.booleans(),
    "heartbeat": st.none() | payloads,
    "detail": st.none() | texts,
    "timer_id": texts,
    "fire_at": instants,
    "started_seq": ordinals,
    "name": texts,
    "payload": payloads,
    "signal_id": st.none() | texts,
}
CLASSES = [
    cls
    for name in e.__all__
    if isinstance(cls := getattr(e, name), type)
    and issubclass(cls, e.HistoryEvent)
    and cls is not e.HistoryEvent
]
events = st.one_of(
    [
        st.builds(cls, **{field.name: FIELDS[field.name] for field in attrs.fields(cls)})
        for cls in CLASSES
    ]
)


def read(kind: str, data: str) -> e.HistoryEvent:
    return decode_event(kind, data, seq=1, recorded_at=AT, workflow_id=WorkflowId("w"))


def again(event: e.HistoryEvent) -> e.HistoryEvent:
    return decode_event(
        kind_of(event),
        encode_event(event),
        seq=event.seq,
        recorded_at=event.recorded_at,
        workflow_id=event.workflow_id,
    )


def corrupt(kind: str, data: object) -> CorruptHistoryError:
    with pytest.raises(CorruptHistoryError) as info:
        read(kind, data if isinstance(data, str) else json.dumps(data))
    return info.value


@given(events)
def test_every_event_comes_back(event: e.HistoryEvent) -> None:
    assert again(event) == event


@given(events)
def test_an_event_is_stored_without_envelope_and_kind(event: e.HistoryEvent) -> None:
    assert not {"seq", "recorded_at", "workflow_id", "kind"} & set(json.loads(encode_event(event)))


@given(instants)
def test_an_instant_survives_as_microseconds(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant


def test_an_instant_of_another_zone_comes_back_in_utc() -> None:
    instant = AT.astimezone(timezone(timedelta(hours=2)))
    assert from_micros(to_micros(instant)).isoformat() == AT.isoformat()


def test_the_kind_is_the_name_of_the_class_today() -> None:
    assert [kind_of(_small(cls)) for cls in CLASSES] == [cls.__name__ for cls in CLASSES]


def test_an_unknown_kind_is_corrupt() -> None:
    error = corrupt("WorkflowDreamt", {})
    assert (error.workflow_id, error.seq, error.path) == ("w", 1, "kind")
    assert "'WorkflowDreamt'" in str(error)


@pytest.mark.parametrize("data", ["", "{", "[]", "7", "null", "[" * 100_000])
def test_what_is_no_json_object_is_corrupt(data: str) -> None:
    assert corrupt("TimerCancelled", data).path == "$"


def _small(cls: type[e.HistoryEvent]) -> e.HistoryEvent:
    """The event with its mandatory fields alone."""
    fields: dict[str, Any] = {
        **ENVELOPE,
        "workflow_type": "order",
        "input": Payload(JSON, b"{}"),
        "run_id": RunId("r"),
        "package_version": "v",
        "random_seed": 1,
        "result": Payload(JSON, b"1"),
        "error": Failure(type="T", message="m"),
        "activity_id": ActivityId("activity:0"),
        "activity_type": "charge",
        "options": ActivityOptions(),
        "attempt": 1,
        "delivery": 2,
        "timer_id": TimerId("timer:0"),
        "fire_at": AT,
        "started_seq": 1,
        "name": "go",
        "payload": Payload(JSON, b"1"),
    }
    mandatory = [field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING]
    return cls(**{name: fields[name] for name in mandatory})


MANDATORY = [
    (cls, field.name)
    for cls in CLASSES
    for field in attrs.fields(cls)
    if field.default is attrs.NOTHING and field.name not in ENVELOPE
]
OPTIONAL = [
    (cls, field.name)
    for cls in CLASSES
    for field in attrs.fields(cls)
    if field.default is not attrs.NOTHING
]
FULL: dict[str, Any] = {
    "continued_from": RunId("before"),
    "parent": e.ParentRef(workflow_id=WorkflowId("p"), run_id=RunId("r"), child_key="child:0"),
    "attributes": {"a": 1},
    "run_deadline": AT,
    "not_before": AT,
    "memo": Payload(JSON, b"1"),
    "supplied_by": "kim",
    "next_attempt_at": AT,
    "held": True,
    "heartbeat": Payload(JSON, b"1"),
    "attempt": 3,
    "detail": "d",
    "signal_id": "s",
}


@pytest.mark.parametrize(("cls", "name"), MANDATORY, ids=str)
def test_a_missing_field_is_corrupt(cls: type[e.HistoryEvent], name: str) -> None:
    fields = json.loads(encode_event(_small(cls)))
    del fields[name]
    error = corrupt(cls.__name__, fields)
    assert error.path == f"$.{name}"
    assert "missing" in str(error)


@pytest.mark.parametrize("wrong", [[1], [], None], ids=repr)
@pytest.mark.parametrize(("cls", "name"), MANDATORY, ids=str)
def test_a_field_of_another_type_is_corrupt(
    cls: type[e.HistoryEvent], name: str, wrong: object
) -> None:
    fields = json.loads(encode_event(_small(cls))) | {name: wrong}
    error = corrupt(cls.__name__, fields)
    assert (error.workflow_id, error.seq) == ("w", 1)
    assert error.path.startswith(f"$.{name}")


@pytest.mark.parametrize(("cls", "name"), OPTIONAL, ids=str)
def test_an_event_written_before_an_optional_field_existed_is_read(
    cls: type[e.HistoryEvent], name: str
) -> None:
    event = attrs.evolve(_small(cls), **{name: FULL[name]})
    fields = json.loads(encode_event(event))
    del fields[name]
    assert read(cls.__name__, json.dumps(fields)) == _small(cls)


@pytest.mark.parametrize(
    ("kind", "fields", "path"),
    [
        ("ActivityStarted", {"activity_id": "a", "attempt": "1", "delivery": 2}, "$.attempt"),
        ("ActivityStarted", {"activity_id": "a", "attempt": True, "delivery": 2}, "$.attempt"),
        ("ActivityStarted", {"activity_id": 1, "attempt": 1, "delivery": 2}, "$.activity_id"),
        ("TimerStarted", {"timer_id": "t", "fire_at": "tomorrow"}, "$.fire_at"),
        ("TimerStarted", {"timer_id": "t", "fire_at": "2024-01-01T00:00:00"}, "$.fire_at"),
        ("WorkflowCompleted", {"result": {"json": 1}}, "$.result"),
        ("WorkflowCompleted", {"result": {"type": "a", "base64": "!"}}, "$.result"),
        ("WorkflowFailed", {"error": {"type": "T"}}, "$.error.message"),
        ("WorkflowFailed", {"error": {"type": "T", "message": "m", "kind": "odd"}}, "$.error.kind"),
        (
            "WorkflowFailed",
            {"error": {"type": "T", "message": "m", "cause": {"type": 1, "message": "m"}}},
            "$.error.cause.type",
        ),
        (
            "WorkflowFailed",
            {"error": {"type": "T", "message": "m", "notes": "note"}},
            "$.error.notes",
        ),
        (
            "WorkflowFailed",
            {"error": {"type": "T", "message": "m", "members": [{"type": "T"}]}},
            "$.error.members[0].message",
        ),
    ],
)
def test_the_error_says_where_in_the_event(kind: str, fields: object, path: str) -> None:
    assert corrupt(kind, fields).path == path


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("max_attempts", 0),
        ("initial_interval", -1),
        ("backoff", 0.5),
        ("backoff", "2"),
        ("non_retryable", "Declined"),
        ("non_retryable", [1]),
    ],
)
def test_a_policy_that_could_not_have_been_written_is_corrupt(name: str, wrong: object) -> None:
    fields = json.loads(encode_event(_small(e.ActivityScheduled)))
    fields["options"]["retry"][name] = wrong
    assert corrupt("ActivityScheduled", fields).path.startswith("$.options.retry")


def test_a_recorded_policy_is_whole_although_it_has_only_defaults() -> None:
    fields = json.loads(encode_event(_small(e.ActivityScheduled)))
    assert fields["options"] == {
        "retry": {
            "max_attempts": 5,
            "initial_interval": 1.0,
            "backoff": 2.0,
            "max_interval": 100.0,
            "non_retryable": [],
        },
        "start_to_close": None,
        "key": None,
    }


def test_a_field_of_a_later_version_is_passed_over() -> None:
    fields = json.loads(encode_event(_small(e.TimerCancelled))) | {"later": 1}
    assert read("TimerCancelled", json.dumps(fields)) == _small(e.TimerCancelled)


def test_json_stays_readable_in_the_store() -> None:
    event = e.WorkflowCompleted(**ENVELOPE, result=Payload(JSON, '"Größe"'.encode()))
    assert encode_event(event) == '{"result":{"json":"\\"Größe\\""}}'


@pytest.mark.parametrize("data", [b"\xff", b"", bytes(range(256))])
def test_bytes_that_are_no_text_come_back(data: bytes) -> None:
    event = e.WorkflowCompleted(**ENVELOPE, result=Payload(JSON, data))
    assert again(event) == event


def test_every_event_class_is_an_arrival_an_intent_or_a_note() -> None:
    notes = [cls for cls in CLASSES if not issubclass(cls, e.ARRIVALS + e.INTENTS)]
    assert notes == [e.ActivityFailed, e.ActivityStarted]


@pytest.mark.parametrize(
    ("changes", "is_arrival"),
    [({}, True), ({"next_attempt_at": AT}, False), ({"held": True}, False)],
)
def test_only_a_final_failure_is_an_arrival(changes: dict[str, Any], is_arrival: bool) -> None:
    assert e.is_arrival(attrs.evolve(_small(e.ActivityFailed), **changes)) is is_arrival
