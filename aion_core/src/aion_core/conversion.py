"""Strict conversion between typed values and JSON's plain ones: the rules, as cattrs hooks.

cattrs coerces by default; nothing here does. What payloads are, and how errors are told, is in
`aion_core.payloads`.
"""

from __future__ import annotations

import base64
import enum
import json
import types
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import PurePath
from typing import Any
from uuid import UUID

import attrs
import cattrs
from cattrs.cols import (
    is_frozenset,
    is_namedtuple,
    is_sequence,
    is_set,
    iterable_unstructure_factory,
    list_structure_factory,
    mapping_unstructure_factory,
)
from cattrs.enums import enum_structure_factory, enum_unstructure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn
from cattrs.strategies import configure_union_passthrough

__all__ = ["strict_converter", "type_name"]

Hook = Callable[[Any, Any], Any]


def type_name(annotation: Any) -> str:
    """An annotation as people write it."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


@attrs.frozen
class _Misfit:
    """Stands, on the way out, for a value of another type than its annotation's.

    No reader takes it, and it is readers that know the path: see `PayloadConverter._to_plain`.
    """

    expected: str
    value: object


def _mismatch(expected: str, value: object) -> TypeError:
    if isinstance(value, _Misfit):
        expected, value = value.expected, value.value
    return TypeError(f"expected {expected}, got {type(value).__name__}")


def strict_converter() -> cattrs.Converter:
    """A converter that refuses, in both directions, what does not fit its annotation exactly."""
    converter = cattrs.Converter(detailed_validation=True)

    for scalar in (str, int, float, bool, type(None)):
        converter.register_structure_hook(scalar, partial(_scalar, converter, scalar))
    for cls, write, read in _AS_TEXT:
        converter.register_unstructure_hook(cls, _writer(cls, write))
        converter.register_structure_hook(cls, partial(_from_text, cls, read))
    converter.register_unstructure_hook(timedelta, _writer(timedelta, _to_seconds))
    converter.register_structure_hook(timedelta, _from_seconds)
    # The order matters: cattrs asks the factory registered last first.
    for is_class in (attrs.has, _is_dataclass):
        converter.register_structure_hook_factory(is_class, partial(_class_factory, converter))
        converter.register_unstructure_hook_factory(is_class, partial(_class_writer, converter))
    converter.register_structure_hook_factory(_is_enum, partial(_enum_factory, converter))
    converter.register_unstructure_hook_factory(_is_enum, partial(_enum_writer, converter))
    converter.register_structure_hook_factory(_is_mapping, partial(_mapping_factory, converter))
    converter.register_unstructure_hook_factory(_is_mapping, partial(_mapping_writer, converter))
    converter.register_structure_hook_factory(is_sequence, partial(_list_factory, converter))
    converter.register_unstructure_hook_factory(is_sequence, partial(_list_writer, converter))
    for predicate, kind in ((is_set, set), (is_frozenset, frozenset)):
        converter.register_structure_hook_factory(predicate, partial(_set_factory, converter, kind))
        converter.register_unstructure_hook_factory(
            predicate, partial(_set_writer, converter, kind)
        )
    converter.register_structure_hook_factory(_is_tuple, partial(_tuple_factory, converter))
    converter.register_unstructure_hook_factory(_is_tuple, partial(_tuple_writer, converter))
    configure_union_passthrough(str | int | float | bool | None, converter)
    converter.register_structure_hook_factory(_is_ambiguous, _refuse)
    return converter


def _scalar(converter: cattrs.Converter, cls: type, value: Any, annotation: Any) -> Any:
    # What is registered for a class is asked for its subclasses, too, such as `enum.IntEnum`.
    if annotation is not cls and _is_enum(annotation):
        return _enum_factory(converter, annotation)(value, annotation)
    return _same_type(cls, value, annotation)


def _same_type(expected: type, value: Any, _: Any) -> Any:
    if value.__class__ is expected:
        return value
    if expected is float and value.__class__ is int:
        return float(value)
    raise _mismatch(expected.__name__, value)


def _writer(
    cls: type, write: Callable[[Any], object], also: type | None = None
) -> Callable[[Any], object]:
    """Writes values of a class; others become misfits, where cattrs would coerce them."""
    classes = (cls, also or cls)
    return lambda v: write(v) if isinstance(v, classes) else _Misfit(cls.__name__, v)


def _from_text(cls: type, read: Callable[[str], Any], value: Any, annotation: Any) -> Any:
    if cls is not PurePath and isinstance(annotation, type) and annotation is not cls:
        raise TypeError(f"a {annotation.__name__} would come back as a {cls.__name__}")
    if value.__class__ is not str:
        raise _mismatch(f"{cls.__name__} as text", value)
    try:
        return read(value)
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"expected {cls.__name__}, got {value!r}") from error


def _to_seconds(value: timedelta) -> float:
    seconds = value.total_seconds()
    if timedelta(seconds=seconds) != value:
        raise ValueError(f"{value!r} is too long to be stored to the microsecond")
    return seconds


def _from_seconds(value: Any, _: Any) -> timedelta:
    return timedelta(seconds=_same_type(float, value, None))


def _date_to_text(value: date) -> object:
    return _Misfit("date", value) if isinstance(value, datetime) else value.isoformat()


_AS_TEXT: tuple[tuple[type, Callable[[Any], object], Callable[[str], Any]], ...] = (
    (Decimal, str, Decimal),
    (UUID, str, UUID),
    (datetime, datetime.isoformat, datetime.fromisoformat),
    (date, _date_to_text, date.fromisoformat),
    (time, time.isoformat, time.fromisoformat),
    (PurePath, str, PurePath),
    (
        bytes,
        lambda data: base64.b64encode(data).decode(),
        lambda text: base64.b64decode(text, validate=True),
    ),
)


def _expect(shape: type, value: Any) -> None:
    if value.__class__ is not shape:
        raise _mismatch(shape.__name__, value)


def _is_dataclass(annotation: Any) -> bool:
    return isinstance(annotation, type) and hasattr(annotation, "__dataclass_fields__")


def _is_ambiguous(annotation: Any) -> bool:
    """A union with two members that are stored alike, such as ``Decimal | str``."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return False
    members = typing.get_args(annotation)
    classes = [member for member in members if isinstance(member, type)]
    as_text = any(issubclass(cls, tuple(row[0] for row in _AS_TEXT)) for cls in classes)
    as_number = timedelta in members
    as_either = any(map(_is_enum, members))
    has_number = int in members or float in members
    return (str in members and (as_text or as_either)) or (has_number and (as_number or as_either))


def _refuse(annotation: Any) -> Hook:
    raise TypeError(f"members of {annotation} are stored alike and could not be told apart")


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, enum.Enum)


def _is_mapping(annotation: Any) -> bool:
    origin = typing.get_origin(annotation) or annotation
    return origin in (dict, Mapping, typing.Mapping)


def _is_tuple(annotation: Any) -> bool:
    return (typing.get_origin(annotation) or annotation) is tuple or is_namedtuple(annotation)


def _tuple_items(annotation: Any) -> tuple[Any, ...]:
    """The types of a tuple's items; of any number of them, one and an ellipsis."""
    if is_namedtuple(annotation):
        hints = typing.get_type_hints(annotation, include_extras=True)
        return tuple(hints.get(name, Any) for name in annotation._fields)
    return typing.get_args(annotation) or (Any, ...)


def _class_factory(converter: cattrs.Converter, cls: Any) -> Hook:
    structure = make_dict_structure_fn(cls, converter)

    def from_object(value: Any, _: Any) -> Any:
        if value.__class__ is not dict:
            raise _mismatch(f"{type_name(cls)} as an object", value)
        return structure(value, cls)

    return from_object


def _class_writer(converter: cattrs.Converter, cls: Any) -> Callable[[Any], object]:
    unstructure = make_dict_unstructure_fn(cls, converter)
    exact = typing.get_origin(cls) or cls
    # What a subclass has beside would be lost.
    return lambda v: unstructure(v) if v.__class__ is exact else _Misfit(type_name(cls), v)


def _enum_factory(converter: cattrs.Converter, cls: Any) -> Hook:
    structure = enum_structure_factory(cls, converter)

    def from_value(value: Any, _: Any) -> Any:
        if isinstance(value, _Misfit):
            raise _mismatch(type_name(cls), value)
        return structure(value, cls)

    return from_value


def _enum_writer(converter: cattrs.Converter, cls: Any) -> Callable[[Any], object]:
    return _writer(cls, enum_unstructure_factory(cls, converter))


def _list_factory(converter: cattrs.Converter, annotation: Any) -> Hook:
    structure = list_structure_factory(annotation, converter)

    def from_list(value: Any, _: Any) -> Any:
        # Text is a sequence of texts, which would turn "abc" into ["a", "b", "c"].
        _expect(list, value)
        return structure(value, annotation)

    return from_list


def _items_hook(converter: cattrs.Converter, item: Any) -> Hook:
    return _list_factory(converter, types.GenericAlias(list, (item,)))


def _list_writer(converter: cattrs.Converter, annotation: Any) -> Callable[[Any], object]:
    is_list = (typing.get_origin(annotation) or annotation) is list
    unstructure = iterable_unstructure_factory(annotation, converter, list)
    return _writer(list, unstructure, also=None if is_list else tuple)


def _set_factory(
    converter: cattrs.Converter, kind: Callable[[list[Any]], Any], annotation: Any
) -> Hook:
    (item,) = typing.get_args(annotation) or (Any,)
    items = _items_hook(converter, item)
    return lambda value, _: kind(items(value, None))


def _set_writer(
    converter: cattrs.Converter, kind: type, annotation: Any
) -> Callable[[Any], object]:
    """Sets are stored sorted: their own order differs from process to process."""
    unstructure = iterable_unstructure_factory(annotation, converter, list)
    key = partial(json.dumps, sort_keys=True, default=repr)
    return _writer(kind, lambda values: sorted(unstructure(values), key=key))


def _tuple_factory(converter: cattrs.Converter, annotation: Any) -> Hook:
    arguments = _tuple_items(annotation)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        items = _items_hook(converter, arguments[0])
        return lambda value, _: tuple(items(value, None))
    make = annotation._make if is_namedtuple(annotation) else tuple
    hooks = [converter.get_structure_hook(argument) for argument in arguments]

    def from_list(value: Any, _: Any) -> Any:
        _expect(list, value)
        if len(value) != len(hooks):
            raise ValueError(f"expected {len(hooks)} items, got {len(value)}")
        return make(
            _item(hook, argument, index, item)
            for index, (hook, argument, item) in enumerate(
                zip(hooks, arguments, value, strict=True)
            )
        )

    return from_list


def _tuple_writer(converter: cattrs.Converter, annotation: Any) -> Callable[[Any], object]:
    arguments = _tuple_items(annotation)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return _writer(tuple, iterable_unstructure_factory(annotation, converter, list))
    hooks = [converter.get_unstructure_hook(argument) for argument in arguments]

    def to_list(value: tuple[Any, ...]) -> list[Any]:
        # One too many or too few is found by the reader.
        items = [hook(item) for hook, item in zip(hooks, value, strict=False)]
        return [*items, *value[len(hooks) :]]

    return _writer(annotation if is_namedtuple(annotation) else tuple, to_list)


def _item(hook: Hook, annotation: Any, index: int, value: Any) -> Any:
    try:
        return hook(value, annotation)
    except Exception as error:
        note = cattrs.IterableValidationNote(f"item {index}", index, annotation)
        error.add_note(note)
        raise cattrs.IterableValidationError("in a tuple", [error], tuple) from error


def _mapping_factory(converter: cattrs.Converter, annotation: Any) -> Hook:
    key, value_type = typing.get_args(annotation) or (str, Any)
    keys = _integer_key if key is int else partial(_text_key, converter.get_structure_hook(key))
    values = converter.get_structure_hook(value_type)

    def from_object(value: Any, _: Any) -> Any:
        _expect(dict, value)
        return {
            _item(keys, key, name, name): _item(values, value_type, name, item)
            for name, item in value.items()
        }

    return from_object


def _mapping_writer(converter: cattrs.Converter, annotation: Any) -> Callable[[Any], object]:
    is_dict = (typing.get_origin(annotation) or annotation) is dict
    unstructure = mapping_unstructure_factory(annotation, converter, unstructure_to=dict)
    return _writer(dict if is_dict else Mapping, unstructure)


def _text_key(structure: Hook, value: Any, annotation: Any) -> Any:
    """JSON would write another key as text, and it would come back as that."""
    if value.__class__ is not str:
        raise _mismatch("a key that is stored as text", value)
    return structure(value, annotation)


def _integer_key(value: Any, _: Any) -> int:
    """JSON writes every key as text; before it is written an integer key is still an integer."""
    if value.__class__ is int or (value.__class__ is str and value == str(int(value))):
        return int(value)
    raise _mismatch("int", value)
