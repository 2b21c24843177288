"""Values for every class of events, by the types of its fields: a new field needs no code."""

from __future__ import annotations

import typing
from collections.abc import Hashable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import attrs
from hypothesis import strategies as st

from aion_core import events as e
from aion_core.ids import WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.policies import MAX_SECONDS, Limit, RetryPolicy

__all__ = [
    "AT",
    "CLASSES",
    "ENVELOPE",
    "Place",
    "event_of",
    "events",
    "fields_of",
    "full",
    "instants",
    "own_fields",
    "part_classes",
    "places",
    "small",
]

AT = datetime(2024, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
ENVELOPE: dict[str, Any] = {"seq": 1, "recorded_at": AT, "workflow_id": WorkflowId("w")}
CLASSES: list[type[e.HistoryEvent]] = [
    cls
    for name in e.__all__
    if isinstance(cls := getattr(e, name), type)
    and issubclass(cls, e.HistoryEvent)
    and cls is not e.HistoryEvent
]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
instants = st.timedeltas(timedelta(0), timedelta(days=365 * 7_000)).map(lambda age: AT + age)
attribute_values = st.one_of(
    st.none(),
    texts,
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    instants,
    st.lists(texts, max_size=2).map(tuple),
)
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(1, 2**64),
    float: st.floats(1, 1e6),
    bool: st.booleans(),
    type(None): st.none(),
    datetime: instants,
    Payload: st.builds(
        Payload, st.just(JSON) | texts, st.binary(max_size=20) | texts.map(str.encode)
    ),
    Mapping: st.dictionaries(texts, attribute_values, max_size=3),
}
# Wider or narrower than the type: what the class itself allows.
OF_FIELD: dict[tuple[type, str], st.SearchStrategy[Any]] = {
    (Limit, "name"): texts.filter(bool),
    (RetryPolicy, "initial_interval"): st.floats(0, MAX_SECONDS),
}
SAMPLES: dict[Any, Any] = {
    str: "text",
    int: 3,
    float: 7.5,
    bool: True,
    datetime: AT + timedelta(days=1, microseconds=7),
    Payload: Payload(JSON, b'{"a":1}'),
    Mapping: {"size": 1, "tags": ("a", "b"), "due": AT},
}


def bare(annotation: Any) -> Any:
    """The type behind a name for it, such as ``WorkflowId``; of mappings there is one kind."""
    annotation = getattr(annotation, "__supertype__", annotation)
    return Mapping if get_origin(annotation) is Mapping else annotation


def is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (UnionType, typing.Union)


def fields_of(cls: type) -> list[attrs.Attribute[Any]]:
    return list(attrs.fields(attrs.resolve_types(cls)))


def own_fields(cls: type) -> list[attrs.Attribute[Any]]:
    """Without the envelope."""
    return [field for field in fields_of(cls) if field.name not in _hidden(cls)]


def _hidden(cls: type) -> set[str]:
    return set(ENVELOPE) if issubclass(cls, e.HistoryEvent) else set()


@cache
def values_of(annotation: Hashable) -> st.SearchStrategy[Any]:
    return _values(bare(annotation))


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation in SIMPLE:
        return SIMPLE[annotation]
    if is_union(annotation):
        return st.one_of([values_of(member) for member in get_args(annotation)])
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if get_origin(annotation) is tuple:
        return st.lists(values_of(get_args(annotation)[0]), max_size=1).map(tuple)
    return st.deferred(lambda: built(annotation))


def built(cls: type) -> st.SearchStrategy[Any]:
    return st.builds(cls, **{field.alias or field.name: of(cls, field) for field in fields_of(cls)})


def of(cls: type, field: attrs.Attribute[Any]) -> st.SearchStrategy[Any]:
    annotation: Any = field.type
    special = OF_FIELD.get((cls, field.name))
    return values_of(annotation) if special is None else special


def event_of(cls: type[e.HistoryEvent]) -> st.SearchStrategy[e.HistoryEvent]:
    return built(cls)


events: st.SearchStrategy[e.HistoryEvent] = st.one_of([event_of(cls) for cls in CLASSES])


def sample(annotation: Any, inside: tuple[type, ...], *, whole: bool) -> Any:
    """One value of a type.

    Args:
        inside: the classes that it becomes a part of. Of a class that is a part of itself the
            innermost has only what it must.
        whole: whether fields are set that have a default.
    """
    annotation = bare(annotation)
    if annotation in SAMPLES:
        return SAMPLES[annotation]
    if is_union(annotation):
        return sample(part_of(annotation), inside, whole=whole)
    if get_origin(annotation) is Literal:
        return get_args(annotation)[-1]
    if get_origin(annotation) is tuple:
        return (sample(part_of(annotation), inside, whole=whole),)
    return _made(annotation, inside, whole=whole and annotation not in inside)


def part_of(annotation: Any) -> Any:
    """What an optional value or a list is of."""
    (part,) = (arg for arg in get_args(annotation) if arg not in (type(None), Ellipsis))
    return part


def _made(cls: type, inside: tuple[type, ...], *, whole: bool) -> Any:
    given = {
        field.alias or field.name: sample(field.type, (*inside, cls), whole=whole)
        for field in own_fields(cls)
        if whole or field.default is attrs.NOTHING
    }
    return cls(**given, **{name: ENVELOPE[name] for name in _hidden(cls)})


def small(cls: type[e.HistoryEvent]) -> Any:
    """The event with its mandatory fields alone."""
    return _made(cls, (), whole=False)


def full(cls: type[e.HistoryEvent]) -> Any:
    """The event with every field set, none to its default."""
    return _made(cls, (), whole=True)


@attrs.frozen
class Place:
    """A field that has a default, of an event or of a part of one.

    Attributes:
        event: class of the event.
        path: how to get there from the event: names of fields, and places in lists.
        field: its definition.
    """

    event: type[e.HistoryEvent]
    path: tuple[str | int, ...]
    field: attrs.Attribute[Any]

    def __str__(self) -> str:
        return ".".join(map(str, (self.event.__name__, *self.path, self.field.name)))


def places() -> list[Place]:
    """Every field with a default of every event and every part of one."""
    return [
        Place(cls, path, field)
        for cls in CLASSES
        for path, owner in _owners(cls, (), ())
        for field in own_fields(owner)
        if field.default is not attrs.NOTHING
    ]


def part_classes() -> list[type]:
    """The classes of the parts of events."""
    owners = {owner for cls in CLASSES for _, owner in _owners(cls, (), ())}
    return sorted(owners - set(CLASSES), key=lambda cls: cls.__name__)


def _owners(
    cls: type, path: tuple[str | int, ...], inside: tuple[type, ...]
) -> Iterator[tuple[tuple[str | int, ...], type]]:
    yield path, cls
    for field in own_fields(cls):
        annotation, steps = field.type, (*path, field.name)
        while is_union(annotation) or get_origin(annotation) is tuple:
            steps = steps if is_union(annotation) else (*steps, 0)
            annotation = part_of(annotation)
        part = bare(annotation)
        if attrs.has(part) and part is not Payload and part not in (*inside, cls):
            yield from _owners(part, steps, (*inside, cls))
