"""The codec: every event comes back; what does not fit is corrupt, and the error says where."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings

from aion_core import events as e
from aion_core.codec import decode_event, encode_event, from_micros, kind_of, to_micros
from aion_core.errors import CorruptHistoryError
from aion_core.ids import ActivityId, TimerId, WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.policies import ActivityOptions, Limit
from tests.core.model_values import (
    AT,
    CLASSES,
    ENVELOPE,
    event_of,
    events,
    full,
    instants,
    own_fields,
    small,
)

# Failures are trees: to make one may take a while on a busy machine.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


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


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_event_comes_back(cls: type[e.HistoryEvent]) -> None:
    @settings(UNHURRIED, max_examples=30)
    @given(event_of(cls))
    def comes_back(event: e.HistoryEvent) -> None:
        assert again(event) == event
        # Equal is not the same: 1, 1.0 and True are equal.
        assert repr(again(event)) == repr(event)

    comes_back()


@settings(UNHURRIED)
@given(events)
def test_an_event_is_stored_without_envelope_and_kind(event: e.HistoryEvent) -> None:
    assert not {"seq", "recorded_at", "workflow_id", "kind"} & set(json.loads(encode_event(event)))


@given(instants)
def test_an_instant_survives_as_microseconds(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant


def test_an_instant_of_another_zone_comes_back_in_utc() -> None:
    instant = AT.astimezone(timezone(timedelta(hours=2)))
    assert from_micros(to_micros(instant)).isoformat() == AT.isoformat()


FIRST_DATE, LAST_DATE = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("instant", [FIRST_DATE, LAST_DATE], ids=["first", "last"])
def test_the_first_and_the_last_instant_of_utc_come_back(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant


@pytest.mark.parametrize(
    "instant",
    [
        FIRST_DATE.replace(tzinfo=timezone(timedelta(microseconds=1))),
        LAST_DATE.replace(tzinfo=timezone(timedelta(microseconds=-1))),
    ],
    ids=["too early", "too late"],
)
def test_an_instant_for_which_utc_has_no_date_is_refused(instant: datetime) -> None:
    with pytest.raises(ValueError, match="lies outside of the years"):
        to_micros(instant)


def test_the_kind_is_the_name_of_the_class_today() -> None:
    assert [kind_of(small(cls)) for cls in CLASSES] == [cls.__name__ for cls in CLASSES]


def test_an_event_of_a_class_without_a_kind_is_not_written() -> None:
    class Late(e.TimerCancelled):
        pass

    with pytest.raises(KeyError, match="Late"):
        encode_event(
            Late(seq=1, recorded_at=AT, workflow_id=WorkflowId("w"), timer_id=TimerId("timer:0"))
        )


def test_an_unknown_kind_is_corrupt() -> None:
    error = corrupt("WorkflowDreamt", {})
    assert (error.workflow_id, error.seq, error.path) == ("w", 1, "kind")
    assert "'WorkflowDreamt'" in str(error)


@pytest.mark.parametrize(
    "data", ["", "{", "[]", "7", "null", "NaN", "[" * 100_000, '{"timer_id":"t"}x', "\ufeff{}"]
)
def test_what_is_no_json_object_is_corrupt(data: str) -> None:
    assert corrupt("TimerCancelled", data).path == "$"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_white_space_around_an_event_is_no_part_of_it(cls: type[e.HistoryEvent]) -> None:
    event = full(cls)
    assert read(kind_of(event), f" \n{encode_event(event)}\t\r") == event


@pytest.mark.parametrize(
    ("attempt", "stored"), [(True, "true"), (1.0, "1.0"), (None, "null"), ("1", '"1"')], ids=repr
)
def test_a_value_of_another_type_is_written_as_what_it_is(attempt: Any, stored: str) -> None:
    event = e.ActivityStarted(**ENVELOPE, activity_id=ActivityId("a"), attempt=attempt, delivery=2)
    assert encode_event(event) == f'{{"activity_id":"a","attempt":{stored},"delivery":2}}'


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_field_that_has_its_default_is_not_written(cls: type[e.HistoryEvent]) -> None:
    mandatory = [field.name for field in own_fields(cls) if field.default is attrs.NOTHING]
    assert list(json.loads(encode_event(small(cls)))) == mandatory


MANDATORY = [
    (cls, field.name)
    for cls in CLASSES
    for field in own_fields(cls)
    if field.default is attrs.NOTHING
]


@pytest.mark.parametrize(("cls", "name"), MANDATORY, ids=str)
def test_a_missing_field_is_corrupt(cls: type[e.HistoryEvent], name: str) -> None:
    fields = json.loads(encode_event(small(cls)))
    del fields[name]
    error = corrupt(cls.__name__, fields)
    assert error.path == f"$.{name}"
    assert "missing" in str(error)


@pytest.mark.parametrize("wrong", [[1], [], None], ids=repr)
@pytest.mark.parametrize(("cls", "name"), MANDATORY, ids=str)
def test_a_field_of_another_type_is_corrupt(
    cls: type[e.HistoryEvent], name: str, wrong: object
) -> None:
    fields = json.loads(encode_event(small(cls))) | {name: wrong}
    error = corrupt(cls.__name__, fields)
    assert (error.workflow_id, error.seq) == ("w", 1)
    assert error.path.startswith(f"$.{name}")


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where, in plain JSON, everything stands that is neither a list nor an object."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(item, dict | list):
            yield from leaves(item, (*path, key))
        else:
            yield *path, key


LEAVES = [(cls, path) for cls in CLASSES for path in leaves(json.loads(encode_event(full(cls))))]


@pytest.mark.parametrize(("cls", "path"), LEAVES, ids=str)
def test_a_wrong_type_at_any_depth_is_corrupt(
    cls: type[e.HistoryEvent], path: tuple[str | int, ...]
) -> None:
    fields = part = json.loads(encode_event(full(cls)))
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = {"wrong": 1}
    assert corrupt(kind_of(small(cls)), fields).path.startswith(f"$.{path[0]}")


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
    fields = json.loads(encode_event(small(e.ActivityScheduled)))
    fields["options"]["retry"][name] = wrong
    assert corrupt("ActivityScheduled", fields).path.startswith("$.options.retry")


def test_a_policy_that_an_activity_may_not_have_any_more_is_read_as_it_was_recorded() -> None:
    fields = json.loads(encode_event(small(e.ActivityScheduled)))
    fields["options"]["retry"] |= {"initial_interval": 600.0, "max_interval": 100.0}
    event = read("ActivityScheduled", json.dumps(fields))
    assert isinstance(event, e.ActivityScheduled)
    assert event.options.retry.initial_interval == 600
    assert json.loads(encode_event(event)) == fields


def test_a_recorded_policy_is_whole_although_it_has_only_defaults() -> None:
    event = attrs.evolve(small(e.ActivityScheduled), options=ActivityOptions())
    assert json.loads(encode_event(event))["options"] == {
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


def test_a_recorded_limit_is_whole_although_it_has_only_defaults() -> None:
    options = ActivityOptions(limit=Limit("bank"))
    event = attrs.evolve(small(e.ActivityScheduled), options=options)
    stored = json.loads(encode_event(event))["options"]["limit"]
    assert stored == {"name": "bank", "concurrency": None, "rate": None}


@pytest.mark.parametrize(
    ("first", "second"), [(1, True), (1, 1.0), (30.0, "30")], ids=["bool", "float", "text"]
)
def test_options_read_before_do_not_excuse_others_that_look_like_them(
    first: object, second: object
) -> None:
    fields = json.loads(encode_event(small(e.ActivityScheduled)))
    fields["options"]["retry"]["max_attempts"] = 1
    fields["options"]["start_to_close"] = first
    read("ActivityScheduled", json.dumps(fields))
    name, holder = ("start_to_close", fields["options"])
    if first == 1:
        name, holder = ("max_attempts", fields["options"]["retry"])
    holder[name] = second
    assert corrupt("ActivityScheduled", fields).path.endswith(name)


def test_options_of_a_type_that_could_not_be_read_are_not_written() -> None:
    options = ActivityOptions(key=True)  # type: ignore[arg-type]  # which is the point
    with pytest.raises(TypeError, match="expected str, got True"):
        encode_event(attrs.evolve(full(e.ActivityScheduled), options=options))


@pytest.mark.parametrize("text", [',"options":', '},"options":{}', '","options":"'])
def test_text_that_looks_like_options_is_text(text: str) -> None:
    event = attrs.evolve(full(e.ActivityScheduled), activity_type=text)
    assert again(event) == event


def test_options_are_found_wherever_they_stand() -> None:
    event = full(e.ActivityScheduled)
    fields = json.loads(encode_event(event))
    reordered = {"options": fields.pop("options"), **fields, "later": {"a": 1, "options": {}}}
    for separators in ((",", ":"), (", ", ": ")):
        assert read("ActivityScheduled", json.dumps(reordered, separators=separators)) == event


@pytest.mark.parametrize("end", ["", "}", "}}}", "},", "} x"])
def test_options_of_a_damaged_event_are_not_read_alone(end: str) -> None:
    data = encode_event(full(e.ActivityScheduled)).removesuffix("}}") + end
    assert corrupt("ActivityScheduled", data).path == "$"


ATTRIBUTES: list[tuple[object, str]] = [
    ("a", '"a"'),
    (1, "1"),
    (1.0, "1.0"),
    (True, "true"),
    (None, "null"),
    (("a", "b"), '["a","b"]'),
    ((), "[]"),
    (datetime(2024, 3, 1, tzinfo=UTC), '{"datetime":"2024-03-01T00:00:00+00:00"}'),
]


def attributed(value: object) -> e.HistoryEvent:
    return attrs.evolve(small(e.SearchAttributesUpdated), position="p", attributes={"k": value})


@pytest.mark.parametrize(("value", "stored"), ATTRIBUTES, ids=str)
def test_a_search_attribute_is_stored_by_its_type(value: object, stored: str) -> None:
    text = encode_event(attributed(value))
    assert text == f'{{"position":"p","attributes":{{"k":{stored}}}}}'


@pytest.mark.parametrize(("value", "stored"), ATTRIBUTES, ids=str)
def test_a_search_attribute_comes_back_as_its_type(value: object, stored: str) -> None:
    found: Any = read(
        "SearchAttributesUpdated", f'{{"position":"p","attributes":{{"k":{stored}}}}}'
    )
    assert repr(found.attributes) == repr({"k": value})


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        b"a",
        {"a": 1},
        ["a"],
        (1,),
        date(2024, 3, 1),
        AT.replace(tzinfo=None),
    ],
    ids=repr,
)
def test_another_search_attribute_is_not_written(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode_event(attributed(value))


@pytest.mark.parametrize(
    "stored",
    [
        "NaN",
        "1e999",
        "[1]",
        "[null]",
        "{}",
        '{"date":"2024-03-01"}',
        '{"datetime":1}',
        '{"datetime":"2024-03-01"}',
        '{"datetime":"2024-03-01T00:00:00+00:00","x":1}',
    ],
)
def test_another_search_attribute_is_corrupt(stored: str) -> None:
    data = f'{{"position":"p","attributes":{{"a":1,"k":{stored}}}}}'
    assert corrupt("SearchAttributesUpdated", data).path in ("$.attributes['k']", "$")


def test_json_stays_readable_in_the_store() -> None:
    event = e.WorkflowCompleted(**ENVELOPE, result=Payload(JSON, '"Größe"'.encode()))
    assert encode_event(event) == '{"result":{"json":"\\"Größe\\""}}'


@pytest.mark.parametrize("data", [b"\xff", b"", bytes(range(256))])
def test_bytes_that_are_no_text_come_back(data: bytes) -> None:
    event = e.WorkflowCompleted(**ENVELOPE, result=Payload(JSON, data))
    assert again(event) == event


def test_every_event_class_is_an_arrival_an_intent_or_a_note() -> None:
    notes = [cls for cls in CLASSES if not issubclass(cls, e.ARRIVALS + e.INTENTS)]
    assert {cls.__name__ for cls in notes} == {
        "ActivityFailed",
        "ActivityStarted",
        "ScheduleCreated",
        "ScheduleDeleted",
        "SchedulePaused",
        "ScheduleResumed",
        "ScheduleTriggered",
        "ScheduleUpdated",
        "WorkflowPaused",
        "WorkflowReopened",
        "WorkflowResumed",
        "WorkflowTerminated",
        "WorkflowTimedOut",
        "WorkflowVersionAdopted",
    }


@pytest.mark.parametrize(
    ("changes", "is_arrival"),
    [({}, True), ({"next_attempt_at": AT}, False), ({"held": True}, False)],
)
def test_only_a_final_failure_is_an_arrival(changes: dict[str, Any], is_arrival: bool) -> None:
    assert e.is_arrival(attrs.evolve(small(e.ActivityFailed), **changes)) is is_arrival
