"""Readers of whole events, one function each, made at import as attrs and cattrs make theirs.

Half of the fields of an event are its envelope, which is no JSON, and most others are texts: in
such a function they cost no call. Every other field is read by the hook that cattrs has for it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import MemberDescriptorType
from typing import Any

import attrs
import cattrs

from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId

__all__ = ["ENVELOPE", "ReadEvent", "compile_reader"]

ReadEvent = Callable[[dict[str, Any], int, datetime, WorkflowId], HistoryEvent]
"""Of the stored fields, and of what is stored beside them: seq, recorded_at, workflow_id."""

ENVELOPE = tuple(field.name for field in attrs.fields(HistoryEvent))


def compile_reader(cls: type[HistoryEvent], converter: cattrs.Converter) -> ReadEvent:
    """A function that reads events of a class.

    It raises KeyError for a missing field, and for a wrong one whatever comes; it is for the
    caller to find out where.
    """
    names: dict[str, Any] = {"Wrong": TypeError}
    lines = [f"def read(fields, {', '.join(ENVELOPE)}):"]
    for field in attrs.fields(attrs.resolve_types(cls)):
        if field.name not in ENVELOPE:
            lines += _read_field(field, converter, names)
    lines += _make_event(cls, names)
    exec("\n".join(lines), names)
    read: ReadEvent = names["read"]
    return read


def _read_field(
    field: attrs.Attribute[Any], converter: cattrs.Converter, names: dict[str, Any]
) -> list[str]:
    """The lines that set the field's variable; what they refer to goes into ``names``."""
    name, value = field.name, f"v_{field.name}"
    kind = _scalar(field.type)
    if kind:
        check = [f"if {value}.__class__ is not {kind}: raise Wrong"]
    else:
        names[f"hook_{name}"] = converter.get_structure_hook(field.type)
        names[f"type_{name}"] = field.type
        check = [f"{value} = hook_{name}({value}, type_{name})"]
    if field.default is attrs.NOTHING:
        return [f" {value} = fields[{name!r}]", *(f" {line}" for line in check)]
    names[f"default_{name}"] = field.default
    return [
        f" if {name!r} in fields:",
        f"  {value} = fields[{name!r}]",
        *(f"  {line}" for line in check),
        f" else: {value} = default_{name}",
    ]


def _scalar(annotation: Any) -> str | None:
    """The built-in type that stands behind an annotation, such as a kind of id; None for others."""
    base = getattr(annotation, "__supertype__", annotation)
    return base.__name__ if base in (str, int, bool) else None


def _make_event(cls: type[HistoryEvent], names: dict[str, Any]) -> list[str]:
    """The lines that make the event of its variables.

    Where a class neither converts nor validates, its slots are set as attrs sets those of a frozen
    class, but without being looked up by name each time: half the time of ``__init__``.
    """
    fields = attrs.fields(cls)
    variables = {
        field.name: field.name if field.name in ENVELOPE else f"v_{field.name}" for field in fields
    }
    names["cls"] = cls
    if _needs_init(cls):
        given = ", ".join(f"{field.alias}={variables[field.name]}" for field in fields)
        return [f" return cls({given})"]
    names["new"] = object.__new__
    names.update({f"set_{field.name}": getattr(cls, field.name).__set__ for field in fields})
    return [
        " event = new(cls)",
        *(f" set_{name}(event, {variable})" for name, variable in variables.items()),
        " return event",
    ]


def _needs_init(cls: type[HistoryEvent]) -> bool:
    return hasattr(cls, "__attrs_post_init__") or any(
        field.converter is not None
        or field.validator is not None
        or not isinstance(getattr(cls, field.name, None), MemberDescriptorType)
        for field in attrs.fields(cls)
    )
