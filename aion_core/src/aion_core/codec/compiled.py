"""Readers and writers of whole events, one function each for every class.

Half of the fields of an event are its envelope, which is no JSON, and most others are texts,
numbers or payloads: in such a function they cost no call. Every other field is read and written by
the hook that cattrs has for it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import attrs
import cattrs

from aion_core.events import HistoryEvent
from aion_core.generating import (
    OBJECT_OF_TEXT,
    SCALARS,
    expression,
    is_exactly,
    make_function,
    members_text,
    object_text,
    unless,
)
from aion_core.ids import WorkflowId
from aion_core.json_text import write_json
from aion_core.making import maker
from aion_core.payloads import JSON, Payload

__all__ = ["ENVELOPE", "ReadEvent", "WriteEvent", "compile_reader", "compile_writer"]

ReadEvent = Callable[[str, int, datetime, WorkflowId], HistoryEvent]
"""Of the stored text, and of what is stored beside them: seq, recorded_at, workflow_id."""

WriteEvent = Callable[[Any], str]
"""The fields of an event beside its envelope as JSON text."""

ENVELOPE = tuple(field.name for field in attrs.fields(HistoryEvent))


def compile_reader(
    cls: type[HistoryEvent],
    converter: cattrs.Converter,
    parse: Callable[[str], dict[str, Any]] | None = None,
) -> ReadEvent:
    """A function that reads events of a class.

    It raises KeyError for a missing field, and for a wrong one whatever comes, as it does for white
    space around the text; it is for the caller to find out.

    Args:
        parse: finds the fields in the text, where JSON alone will not do.
    """
    names: dict[str, Any] = {"make": maker(cls), "make_payload": maker(Payload), "JSON": JSON}
    names["parse"] = parse
    lines = ["fields = parse(text)"] if parse else [*OBJECT_OF_TEXT]
    given = [f"{name}={name}" for name in ENVELOPE]
    for field in _own_fields(cls):
        lines += _read_field(field, converter, names)
        given.append(f"{field.name}=v_{field.name}")
    lines.append(f"return make({', '.join(given)})")
    return make_function(f"read(text, {', '.join(ENVELOPE)})", lines, names)


def _own_fields(cls: type[HistoryEvent]) -> list[attrs.Attribute[Any]]:
    return [field for field in attrs.fields(attrs.resolve_types(cls)) if field.name not in ENVELOPE]


def _read_field(
    field: attrs.Attribute[Any], converter: cattrs.Converter, names: dict[str, Any]
) -> list[str]:
    """The lines that set the field's variable; what they refer to goes into ``names``."""
    name, value = field.name, f"v_{field.name}"
    lines = [f"{value} = fields[{name!r}]", *_read_value(field, converter, names)]
    if field.default is attrs.NOTHING:
        return lines
    names[f"default_{name}"] = field.default
    return [
        f"if {name!r} in fields:",
        *(f" {line}" for line in lines),
        f"else: {value} = default_{name}",
    ]


def _read_value(
    field: attrs.Attribute[Any], converter: cattrs.Converter, names: dict[str, Any]
) -> list[str]:
    value = f"v_{field.name}"
    if _bare(field.type) in SCALARS:
        return unless([is_exactly(value, _bare(field.type))])
    names[f"hook_{value}"] = converter.get_structure_hook(field.type)
    names[f"type_{value}"] = field.type
    general = f"{value} = hook_{value}({value}, type_{value})"
    if field.type is not Payload:
        return [general]
    return [
        f"data = {value}.get('json') if {value}.__class__ is dict else None",
        f"if data.__class__ is str: {value} = make_payload(JSON, data.encode())",
        f"else: {general}",
    ]


def compile_writer(
    cls: type[HistoryEvent], converter: cattrs.Converter, texts: Mapping[str, WriteEvent]
) -> WriteEvent:
    """A function that writes events of a class whose fields are of the types that they should be.

    For others it raises whatever comes. Defaults are left out, and the other fields come first.

    Args:
        texts: by the names of fields, what writes their values as JSON text.
    """
    names: dict[str, Any] = {"Payload": Payload, "JSON": JSON, "dump": write_json}
    conditions: list[str] = []
    lines: list[str] = []
    members: list[tuple[str, str]] = []
    optional: list[str] = []
    for field in _own_fields(cls):
        value = f"v_{field.name}"
        lines.append(f"{value} = event.{field.name}")
        known, text = _write_value(field, converter, texts, names)
        if field.default is attrs.NOTHING:
            conditions += known
            members.append((field.name, text))
        else:
            names[f"default_{value}"] = field.default
            written = expression("," + members_text([(field.name, text)]))
            optional.append(f"if {value} != default_{value}:")
            optional += [f" {line}" for line in [*unless(known), f"text += {written}"]]
    lines += unless(conditions)
    if not optional:
        return make_function(
            "write(event)", [*lines, f"return {expression(object_text(members))}"], names
        )
    lines.append(f"text = {expression('{{' + members_text(members))}")
    # Without a first member the comma before the next one is too much.
    end = "return text + '}'" if members else "return '{' + text[2:] + '}'"
    return make_function("write(event)", [*lines, *optional, end], names)


def _write_value(
    field: attrs.Attribute[Any],
    converter: cattrs.Converter,
    texts: Mapping[str, WriteEvent],
    names: dict[str, Any],
) -> tuple[list[str], str]:
    """What must be true of the field's variable, and how it then stands in the text."""
    value = f"v_{field.name}"
    # A None is a default, and left out.
    annotation = _bare(_other_than_none(field.type)) if field.default is None else _bare(field.type)
    if annotation in SCALARS:
        return [is_exactly(value, annotation)], SCALARS[annotation].format(value)
    if annotation is Payload:
        conditions = [is_exactly(value, Payload), f"{value}.content_type == JSON"]
        return conditions, object_text([("json", f"{{quote({value}.data.decode())}}")])
    if field.name in texts:
        names[f"text_{value}"] = texts[field.name]
        return [], f"{{text_{value}({value})}}"
    names[f"hook_{value}"] = converter.get_unstructure_hook(annotation)
    dump = "quote" if annotation is datetime else "dump"
    return [], f"{{{dump}(hook_{value}({value}))}}"


def _other_than_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        others = [each for each in typing.get_args(annotation) if each is not type(None)]
        return others[0] if len(others) == 1 else annotation
    return annotation


def _bare(annotation: Any) -> Any:
    """The type that stands behind a kind of id."""
    return getattr(annotation, "__supertype__", annotation)
