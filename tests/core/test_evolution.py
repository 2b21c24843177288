"""Old histories stay readable: what was added later has a default, what comes later is ignored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from aion_core import events as e
from aion_core.codec import decode_event, encode_event, kind_of
from tests.core.model_values import (
    CLASSES,
    ENVELOPE,
    Place,
    full,
    own_fields,
    part_classes,
    places,
    small,
)

# What an event or a part of one has had from its first day. A field that is added to a class needs
# a default, not a line here: old histories do not have it.
FIRST_DAY: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("required_fields.json").read_text(encoding="utf-8")
)
PLACES = places()


def read(cls: type[e.HistoryEvent], fields: object) -> e.HistoryEvent:
    return decode_event(kind_of(small(cls)), json.dumps(fields), **ENVELOPE)


def part(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def with_default(value: Any, path: tuple[str | int, ...], field: attrs.Attribute[Any]) -> Any:
    """The event with the field at its default."""
    if not path:
        return attrs.evolve(value, **{field.name: field.default})
    step, *rest = path
    if isinstance(step, int):
        return (*value[:step], with_default(value[step], tuple(rest), field), *value[step + 1 :])
    return attrs.evolve(value, **{step: with_default(getattr(value, step), tuple(rest), field)})


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_what_was_written_before_a_field_existed_has_its_default(place: Place) -> None:
    event = full(place.event)
    fields = json.loads(encode_event(event))
    del part(fields, place.path)[place.field.name]
    assert read(place.event, fields) == with_default(event, place.path, place.field)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_the_value_used_here_is_not_the_default(place: Place) -> None:
    event = full(place.event)
    assert with_default(event, place.path, place.field) != event


@pytest.mark.parametrize("path", sorted({(p.event.__name__, *p.path) for p in PLACES}, key=str))
def test_a_field_of_a_later_version_is_passed_over(path: tuple[Any, ...]) -> None:
    kind, *steps = path
    event = full(getattr(e, kind))
    fields = json.loads(encode_event(event))
    part(fields, tuple(steps))["later"] = {"json": 1}
    assert read(getattr(e, kind), fields) == event


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_full_event_comes_back(cls: type[e.HistoryEvent]) -> None:
    event = full(cls)
    assert read(cls, json.loads(encode_event(event))) == event


@pytest.mark.parametrize("cls", [*CLASSES, *part_classes()], ids=lambda cls: cls.__name__)
def test_a_field_added_to_a_class_has_a_default(cls: type) -> None:
    required = [field.name for field in own_fields(cls) if field.default is attrs.NOTHING]
    assert required == FIRST_DAY[cls.__name__]


def test_no_class_that_was_ever_stored_is_gone() -> None:
    assert sorted(FIRST_DAY) == sorted(cls.__name__ for cls in [*CLASSES, *part_classes()])
