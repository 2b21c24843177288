"""Payloads: user values as bytes, converted strictly by the annotations of the user's functions.

Conversion happens here and nowhere else, with cattrs. Nothing is coerced: a value that does not
fit its annotation is a `PayloadError` that says where. Never pickle.
"""

from __future__ import annotations

import base64
import json
import types
import typing
from collections.abc import Callable, Collection, Mapping
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
    is_sequence,
    is_set,
    iterable_unstructure_factory,
    list_structure_factory,
)
from cattrs.gen import make_dict_structure_fn
from cattrs.strategies import configure_union_passthrough

from aion_core.errors import PayloadError

__all__ = ["JSON", "Payload", "PayloadConverter"]

JSON = "application/json"

Hook = Callable[[Any, Any], Any]


@attrs.frozen
class Payload:
    """A user value at rest.

    Attributes:
        content_type: a MIME type; ``application/json`` unless a codec says otherwise.
        data: the bytes, carried untouched.
    """

    content_type: str
    data: bytes


class PayloadConverter:
    """Turns values into payloads and back, by type annotation.

    Knows what JSON knows, and: attrs classes, dataclasses, enums, ``datetime``, ``date``,
    ``time``, ``timedelta`` (seconds), ``UUID``, ``Decimal`` (text), ``bytes`` (base64), paths,
    tuples, sets, optional values and unions of JSON's own types.
    """

    def __init__(self) -> None:
        self._converter = _strict_converter()

    def check_type(self, annotation: Any) -> None:
        """Find out early whether values of a type can be stored.

        Raises:
            TypeError: they cannot; the message names the type.
        """
        try:
            self._converter.get_structure_hook(annotation)
        except Exception as error:
            raise TypeError(f"values of type {_name(annotation)} cannot be stored: {error}") from error

    def encode(self, value: object, annotation: Any) -> Payload:
        """Store a value.

        Raises:
            PayloadError: it does not fit its annotation, or JSON has no form for it.
        """
        return self._dump(self._to_plain(value, annotation, "$"))

    def encode_fields(self, values: Mapping[str, object], annotations: Mapping[str, Any]) -> Payload:
        """Store several named values as one JSON object, each by its own annotation."""
        return self._dump(
            {
                name: self._to_plain(value, annotations[name], f"$.{name}")
                for name, value in values.items()
            }
        )

    def decode(self, payload: Payload, annotation: Any) -> Any:
        """Give a stored value back.

        Raises:
            PayloadError: what is stored does not fit the annotation; says where.
        """
        return self._from_plain(_load(payload), annotation, "$")

    def decode_fields(self, payload: Payload, annotations: Mapping[str, Any]) -> dict[str, Any]:
        """Give back named values stored by `encode_fields`.

        Fields without an annotation are ignored, absent ones left out: whether the rest can do
        is for the caller, who knows the defaults.
        """
        plain = _load(payload)
        if not isinstance(plain, dict):
            raise PayloadError(f"$: expected an object, got {_name(type(plain))}")
        return {
            name: self._from_plain(plain[name], annotation, f"$.{name}")
            for name, annotation in annotations.items()
            if name in plain
        }

    def _to_plain(self, value: object, annotation: Any, path: str) -> object:
        if value.__class__ is annotation and annotation in _JSON_SCALARS:
            return value
        annotation = type(None) if annotation is None else annotation
        try:
            plain = self._converter.unstructure(value, unstructure_as=annotation)
        except Exception as error:
            raise PayloadError(
                f"{path}: {_name(type(value))} does not fit {_name(annotation)}: {error}"
            ) from error
        # cattrs does not look at types on the way out, so a wrong value would be found only when
        # it is read back, after the crash that made it matter.
        self._from_plain(plain, annotation, path)
        return plain

    def _from_plain(self, plain: object, annotation: Any, path: str) -> Any:
        try:
            return self._converter.structure(plain, annotation)
        except Exception as error:
            raise PayloadError(_where(error, path)) from error

    def _dump(self, plain: object) -> Payload:
        try:
            text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return Payload(JSON, text.encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise PayloadError(_explain_json(plain, error)) from error


_JSON_SCALARS = frozenset({str, int, bool})


def _load(payload: Payload) -> object:
    if payload.content_type != JSON:
        raise PayloadError(f"$: no converter reads content of type {payload.content_type!r}")
    try:
        return json.loads(payload.data)
    except ValueError as error:
        raise PayloadError(f"$: not JSON: {error}") from error


def _where(error: BaseException, path: str) -> str:
    """The first thing wrong in a cattrs error, as ``path: what``."""
    message, _, place = cattrs.transform_error(error, path, _describe)[0].rpartition(" @ ")
    return f"{place}: {message}"


def _describe(error: BaseException, _: object) -> str:
    if isinstance(error, KeyError):
        return f"field {error} is missing"
    return str(error) or type(error).__name__


def _explain_json(plain: object, error: Exception, path: str = "$") -> str:
    """Find the value that JSON refuses: the error of the standard library does not say where."""
    children: list[tuple[str, object]] = []
    if isinstance(plain, dict):
        children = [(f"{path}.{key}", value) for key, value in plain.items()]
    elif isinstance(plain, list | tuple):
        children = [(f"{path}[{index}]", value) for index, value in enumerate(plain)]
    for child_path, value in children:
        try:
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except RecursionError:
            break
        except (TypeError, ValueError) as child_error:
            return _explain_json(value, child_error, child_path)
    return f"{path}: {_name(type(plain))} cannot be stored as JSON: {error}"


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _strict_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)
    for scalar in (str, int, float, bool):
        converter.register_structure_hook(scalar, partial(_same_type, scalar))
    converter.register_structure_hook(type(None), partial(_same_type, type(None)))
    for cls, write, read in _AS_TEXT:
        converter.register_unstructure_hook(cls, write)
        converter.register_structure_hook(cls, partial(_from_text, cls, read))
    converter.register_unstructure_hook(timedelta, timedelta.total_seconds)
    converter.register_structure_hook(timedelta, _seconds)
    # The order matters: cattrs asks the factory registered last first.
    converter.register_structure_hook_factory(attrs.has, partial(_class_factory, converter))
    converter.register_structure_hook_factory(_is_dataclass, partial(_class_factory, converter))
    converter.register_structure_hook_factory(_is_mapping, partial(_mapping_factory, converter))
    converter.register_structure_hook_factory(is_sequence, partial(_list_factory, converter))
    converter.register_unstructure_hook_factory(is_sequence, partial(_to_list_factory, converter))
    for predicate, kind in ((is_set, set), (is_frozenset, frozenset)):
        converter.register_structure_hook_factory(predicate, partial(_set_factory, converter, kind))
        converter.register_unstructure_hook_factory(predicate, partial(_sorted_factory, converter))
    converter.register_structure_hook_factory(_is_tuple, partial(_tuple_factory, converter))
    configure_union_passthrough(str | int | float | bool | None, converter)
    return converter


def _same_type(expected: type, value: Any, _: Any) -> Any:
    if value.__class__ is expected:
        return value
    if expected is float and value.__class__ is int:
        return float(value)
    raise TypeError(f"expected {expected.__name__}, got {type(value).__name__}")


def _from_text(cls: type, read: Callable[[str], Any], value: Any, _: Any) -> Any:
    if value.__class__ is not str:
        raise TypeError(f"expected {cls.__name__} as text, got {type(value).__name__}")
    try:
        return read(value)
    except (ValueError, ArithmeticError) as error:
        raise ValueError(f"expected {cls.__name__}, got {value!r}") from error


def _seconds(value: Any, _: Any) -> timedelta:
    return timedelta(seconds=_same_type(float, value, None))


_AS_TEXT: tuple[tuple[type, Callable[[Any], str], Callable[[str], Any]], ...] = (
    (Decimal, str, Decimal),
    (UUID, str, UUID),
    (datetime, datetime.isoformat, datetime.fromisoformat),
    (date, date.isoformat, date.fromisoformat),
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
        raise TypeError(f"expected {shape.__name__}, got {type(value).__name__}")


def _is_dataclass(annotation: Any) -> bool:
    return isinstance(annotation, type) and hasattr(annotation, "__dataclass_fields__")


def _is_mapping(annotation: Any) -> bool:
    origin = typing.get_origin(annotation) or annotation
    return origin in (dict, Mapping, typing.Mapping)


def _is_tuple(annotation: Any) -> bool:
    return (typing.get_origin(annotation) or annotation) is tuple


def _class_factory(converter: cattrs.Converter, cls: Any) -> Hook:
    structure = make_dict_structure_fn(cls, converter)

    def from_object(value: Any, _: Any) -> Any:
        if value.__class__ is not dict:
            raise TypeError(f"expected {_name(cls)} as an object, got {type(value).__name__}")
        return structure(value, cls)

    return from_object


def _list_factory(converter: cattrs.Converter, annotation: Any) -> Hook:
    structure = list_structure_factory(annotation, converter)

    def from_list(value: Any, _: Any) -> Any:
        # Text is a sequence of texts, which would turn "abc" into ["a", "b", "c"].
        if value.__class__ is not tuple:
            _expect(list, value)
        return structure(value, annotation)

    return from_list


def _items_hook(converter: cattrs.Converter, item: Any) -> Hook:
    return _list_factory(converter, types.GenericAlias(list, (item,)))


def _to_list_factory(converter: cattrs.Converter, annotation: Any) -> Callable[[Any], Any]:
    unstructure = iterable_unstructure_factory(annotation, converter, list)

    def to_list(value: Any) -> Any:
        if isinstance(value, str | bytes):
            raise TypeError(f"expected {_name(annotation)}, got {type(value).__name__}")
        return unstructure(value)

    return to_list


def _set_factory(
    converter: cattrs.Converter, kind: Callable[[list[Any]], Any], annotation: Any
) -> Hook:
    (item,) = typing.get_args(annotation) or (Any,)
    items = _items_hook(converter, item)
    return lambda value, _: kind(items(value, None))


def _sorted_factory(converter: cattrs.Converter, annotation: Any) -> Callable[[Any], list[Any]]:
    """Sets are stored sorted: their own order differs from process to process."""
    (item,) = typing.get_args(annotation) or (Any,)

    def to_list(values: Collection[Any]) -> list[Any]:
        plain = [converter.unstructure(value, unstructure_as=item) for value in values]
        return sorted(plain, key=partial(json.dumps, sort_keys=True))

    return to_list


def _tuple_factory(converter: cattrs.Converter, annotation: Any) -> Hook:
    arguments = typing.get_args(annotation) or (Any, ...)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        items = _items_hook(converter, arguments[0])
        return lambda value, _: tuple(items(value, None))
    hooks = [converter.get_structure_hook(argument) for argument in arguments]

    def from_list(value: Any, _: Any) -> Any:
        if value.__class__ is not tuple:
            _expect(list, value)
        if len(value) != len(hooks):
            raise ValueError(f"expected {len(hooks)} items, got {len(value)}")
        return tuple(
            _item(hook, argument, index, item)
            for index, (hook, argument, item) in enumerate(zip(hooks, arguments, value, strict=True))
        )

    return from_list


def _item(hook: Hook, annotation: Any, index: int, value: Any) -> Any:
    try:
        return hook(value, annotation)
    except Exception as error:
        note = cattrs.IterableValidationNote(f"item {index}", index, annotation)
        error.add_note(note)
        raise cattrs.IterableValidationError("in a tuple", [error], tuple) from error


def _mapping_factory(converter: cattrs.Converter, annotation: Any) -> Hook:
    key, value_type = typing.get_args(annotation) or (str, Any)
    keys = _integer_key if key is int else converter.get_structure_hook(key)
    values = converter.get_structure_hook(value_type)

    def from_object(value: Any, _: Any) -> Any:
        _expect(dict, value)
        return {
            _item(keys, key, name, name): _item(values, value_type, name, item)
            for name, item in value.items()
        }

    return from_object


def _integer_key(value: Any, _: Any) -> int:
    """JSON writes every key as text; before it is written an integer key is still an integer."""
    if value.__class__ is int or (value.__class__ is str and value == str(int(value))):
        return int(value)
    raise TypeError(f"expected int, got {value!r}")
