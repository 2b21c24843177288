"""What cattrs is told of the types that events are made of. Nothing is coerced, either way."""

from __future__ import annotations

import base64
import math
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs
import cattrs
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from aion_core.codec.instants import to_micros
from aion_core.payloads import JSON, Payload
from aion_core.policies import ActivityOptions, Limit, Rate, RetryPolicy

__all__ = ["Read", "make_converter", "object_reader"]

Read = Callable[[Any, Any], Any]
"""A cattrs hook: of a plain value and its type."""

# A recorded policy holds for its run even when a later version has other defaults.
_ALWAYS_WHOLE = (ActivityOptions, RetryPolicy, Limit, Rate)
# Fields that came later: where they are absent their defaults hold, and always will.
_LATER = {
    ActivityOptions: (
        "schedule_to_close",
        "heartbeat_timeout",
        "limit",
        "on_cancel",
        "cancel_grace",
        "priority",
    ),
    RetryPolicy: ("on_exhausted",),
}


def make_converter(*, detailed: bool) -> cattrs.Converter:
    """A strict converter between events' fields and what JSON has.

    Args:
        detailed: whether errors know where they are, which costs time.
    """
    converter = cattrs.Converter(detailed_validation=detailed)
    for scalar in (str, int, float, bool):
        converter.register_structure_hook(scalar, _scalar_reader(scalar))
    converter.register_structure_hook(float, _read_float)
    converter.register_structure_hook(datetime, _read_instant)
    converter.register_structure_hook_factory(attrs.has, partial(object_reader, converter))
    converter.register_structure_hook(Payload, _read_payload)
    converter.register_structure_hook_factory(_is_list, partial(_list_reader, converter))
    converter.register_structure_hook_func(_is_mapping, _read_attributes)
    converter.register_structure_hook_func(_is_literal, _read_literal)
    converter.register_structure_hook(ActivityOptions, _options_reader(converter))
    converter.register_unstructure_hook(datetime, _write_instant)
    converter.register_unstructure_hook_factory(attrs.has, partial(_object_writer, converter))
    converter.register_unstructure_hook(Payload, _write_payload)
    converter.register_unstructure_hook_func(_is_mapping, _write_attributes)
    return converter


def object_reader(converter: cattrs.Converter, cls: Any) -> Read:
    """Reads the fields of a class from an object."""
    structure = make_dict_structure_fn(cls, converter, _cattrs_use_linecache=False)

    def read(value: Any, _: Any) -> Any:
        # Of a class whose fields all have defaults anything else would be read as an empty object.
        if value.__class__ is not dict:
            raise _mismatch("an object", value)
        return structure(value, cls)

    return read


def _object_writer(converter: cattrs.Converter, cls: Any) -> Callable[[Any], dict[str, Any]]:
    whole = cls in _ALWAYS_WHOLE
    later: dict[str, Any] = {name: override(omit_if_default=True) for name in _LATER.get(cls, ())}
    return make_dict_unstructure_fn(
        cls, converter, _cattrs_omit_if_default=not whole, _cattrs_use_linecache=False, **later
    )


def _mismatch(expected: str, value: Any) -> TypeError:
    return TypeError(f"expected {expected}, got {value!r}")


def _scalar_reader(expected: type) -> Read:
    def read(value: Any, _: Any) -> Any:
        if value.__class__ is expected:
            return value
        raise _mismatch(expected.__name__, value)

    return read


def _read_float(value: Any, _: Any) -> float:
    if value.__class__ is not float and value.__class__ is not int:
        raise _mismatch("float", value)
    number = float(value)
    if not math.isfinite(number):
        raise _mismatch("a finite number", value)
    return number


def _write_instant(instant: datetime) -> str:
    # Stores keep some of them as microseconds, too: one for which there are none is to be refused
    # with its event, before it is a row. In UTC there are always some.
    if instant.tzinfo is not UTC:
        to_micros(instant)
    return instant.isoformat()


def _read_instant(value: Any, _: Any) -> datetime:
    if value.__class__ is datetime:
        # The envelope's.
        return value
    if value.__class__ is not str:
        raise _mismatch("an instant as text", value)
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError(f"expected an instant with its zone, got {value!r}")
    return instant


def _is_literal(annotation: Any) -> bool:
    return typing.get_origin(annotation) is typing.Literal


def _read_literal(value: Any, annotation: Any) -> Any:
    # Ours are all texts; cattrs would find True among the numbers.
    if value.__class__ is str and value in typing.get_args(annotation):
        return value
    raise _mismatch(f"one of {typing.get_args(annotation)}", value)


def _is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) is tuple


def _list_reader(converter: cattrs.Converter, annotation: Any) -> Read:
    structure = homogenous_tuple_structure_factory(annotation, converter)

    def read(value: Any, _: Any) -> Any:
        # Text would be taken apart into its characters.
        if value.__class__ is not list:
            raise _mismatch("a list", value)
        return structure(value, annotation)

    return read


def _options_reader(converter: cattrs.Converter) -> Read:
    read = object_reader(converter, ActivityOptions)
    # JSON makes none; whoever has read them already may put them in their place.
    return lambda value, _: value if value.__class__ is ActivityOptions else read(value, None)


def _write_payload(payload: Payload) -> dict[str, str]:
    # JSON stays readable for people who look into the store, and every byte comes back.
    if payload.content_type == JSON:
        try:
            return {"json": payload.data.decode()}
        except UnicodeDecodeError:
            pass
    return {"type": payload.content_type, "base64": base64.b64encode(payload.data).decode()}


def _read_payload(value: Any, _: Any) -> Payload:
    if value.__class__ is dict:
        text = value.get("json")
        if text.__class__ is str:
            return Payload(JSON, text.encode())
        match value:
            case {"type": str(content_type), "base64": str(coded)}:
                return Payload(content_type, base64.b64decode(coded, validate=True))
    raise TypeError("expected a payload")


def _is_mapping(annotation: Any) -> bool:
    """The only mappings in events are search attributes."""
    return typing.get_origin(annotation) is Mapping


def _write_attributes(attributes: Mapping[str, Any]) -> dict[str, object]:
    return {_text(name): _write_attribute(value) for name, value in attributes.items()}


def _text(value: Any) -> str:
    if value.__class__ is not str:
        raise _mismatch("str", value)
    return value


def _write_attribute(value: Any) -> object:
    if value is None or value.__class__ in _PLAIN:
        return value
    if value.__class__ is float:
        return _read_float(value, None)
    if value.__class__ is tuple:
        return [_text(item) for item in value]
    if value.__class__ is datetime and value.tzinfo is not None:
        return {"datetime": _write_instant(value)}
    raise _mismatch("the value of a search attribute", value)


def _read_attributes(value: Any, _: Any) -> dict[str, object]:
    if value.__class__ is not dict:
        raise _mismatch("an object", value)
    attributes = {}
    for name, stored in value.items():
        try:
            attributes[name] = _read_attribute(stored)
        except (TypeError, ValueError) as error:
            error.add_note(cattrs.IterableValidationNote(f"attribute {name!r}", name, None))
            raise cattrs.IterableValidationError("attributes", [error], dict) from error
    return attributes


def _read_attribute(value: Any) -> object:
    if value is None or value.__class__ in _PLAIN:
        return value
    if value.__class__ is float:
        return _read_float(value, None)
    if value.__class__ is list:
        return tuple(_text(item) for item in value)
    match value:
        case {"datetime": str(text), **rest} if not rest:
            return _read_instant(text, None)
    raise _mismatch("the value of a search attribute", value)


_PLAIN = frozenset({str, int, bool})
