"""Lists, sets, tuples and mappings of other values."""

from __future__ import annotations

import collections
import json
import types
import typing
from collections.abc import Callable, Mapping, MutableSequence, Sequence
from functools import partial
from typing import Any

import cattrs
from cattrs.cols import (
    is_frozenset,
    is_namedtuple,
    is_set,
    iterable_unstructure_factory,
    list_structure_factory,
    mapping_unstructure_factory,
)

from aion_core.conversion.misfits import Hook, Write, expect, mismatch, type_name, writer
from aion_core.conversion.scalars import AS_TEXT, is_enum, is_literal

__all__ = ["add_containers", "is_list", "is_mapping", "is_tuple", "located"]


def add_containers(converter: cattrs.Converter) -> None:
    """Teach a converter all of them."""
    converter.register_structure_hook_factory(_is_other, _refuse)
    for matches, reading, writing in (
        (is_mapping, _mapping_factory, _mapping_writer),
        (is_list, _list_factory, _list_writer),
        (is_set, partial(_set_factory, kind=set), partial(_set_writer, kind=set)),
        (
            is_frozenset,
            partial(_set_factory, kind=frozenset),
            partial(_set_writer, kind=frozenset),
        ),
        (is_tuple, _tuple_factory, _tuple_writer),
    ):
        converter.register_structure_hook_factory(matches, partial(reading, converter))
        converter.register_unstructure_hook_factory(matches, partial(writing, converter))


def is_mapping(annotation: Any) -> bool:
    """A dict, or a Mapping that may be any."""
    return _shape(annotation) in (dict, Mapping)


def is_list(annotation: Any) -> bool:
    """A list, or a Sequence, which comes back as a list."""
    return _shape(annotation) in (list, Sequence, MutableSequence)


def is_tuple(annotation: Any) -> bool:
    """A tuple, with names or without."""
    return _shape(annotation) is tuple or is_namedtuple(annotation)


def _is_other(annotation: Any) -> bool:
    """Containers that cattrs would make of any list or dict."""
    return _shape(annotation) in (
        collections.deque,
        collections.OrderedDict,
        collections.defaultdict,
        collections.Counter,
    )


def _shape(annotation: Any) -> Any:
    return typing.get_origin(annotation) or annotation


def _refuse(annotation: Any) -> Hook:
    raise TypeError(
        f"of containers there are list, tuple, set and dict, not {type_name(annotation)}"
    )


def _list_factory(converter: cattrs.Converter, annotation: Any) -> Hook:
    structure = list_structure_factory(annotation, converter)

    def from_list(value: Any, _: Any) -> Any:
        # Text is a sequence of texts, which would turn "abc" into ["a", "b", "c"].
        expect(list, value)
        return structure(value, annotation)

    return from_list


def _items_hook(converter: cattrs.Converter, item: Any) -> Hook:
    return _list_factory(converter, types.GenericAlias(list, (item,)))


def _list_writer(converter: cattrs.Converter, annotation: Any) -> Write:
    unstructure = iterable_unstructure_factory(annotation, converter, list)
    return writer(list, unstructure, also=None if _shape(annotation) is list else tuple)


def _set_factory(
    converter: cattrs.Converter, annotation: Any, *, kind: Callable[[list[Any]], Any]
) -> Hook:
    (item,) = typing.get_args(annotation) or (Any,)
    items = _items_hook(converter, item)
    return lambda value, _: kind(items(value, None))


def _set_writer(converter: cattrs.Converter, annotation: Any, *, kind: type) -> Write:
    """Sets are stored sorted: their own order differs from process to process."""
    unstructure = iterable_unstructure_factory(annotation, converter, list)
    key = partial(json.dumps, sort_keys=True, default=repr)
    return writer(kind, lambda values: sorted(unstructure(values), key=key))


def _tuple_items(annotation: Any) -> tuple[Any, ...]:
    """The types of a tuple's items; of any number of them, one and an ellipsis."""
    if is_namedtuple(annotation):
        hints = typing.get_type_hints(annotation, include_extras=True)
        return tuple(hints.get(name, Any) for name in annotation._fields)
    if annotation in (tuple, typing.Tuple):  # noqa: UP006
        return (Any, ...)
    return typing.get_args(annotation)


def _tuple_factory(converter: cattrs.Converter, annotation: Any) -> Hook:
    arguments = _tuple_items(annotation)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        items = _items_hook(converter, arguments[0])
        return lambda value, _: tuple(items(value, None))
    make = annotation._make if is_namedtuple(annotation) else tuple
    hooks = [converter.get_structure_hook(argument, cache_result=False) for argument in arguments]

    def from_list(value: Any, _: Any) -> Any:
        expect(list, value)
        if len(value) != len(hooks):
            raise ValueError(f"expected {len(hooks)} items, got {len(value)}")
        return make(
            located(hook, argument, index, item)
            for index, (hook, argument, item) in enumerate(
                zip(hooks, arguments, value, strict=True)
            )
        )

    return from_list


def _tuple_writer(converter: cattrs.Converter, annotation: Any) -> Write:
    arguments = _tuple_items(annotation)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return writer(tuple, iterable_unstructure_factory(annotation, converter, list))
    hooks = [converter.get_unstructure_hook(argument, cache_result=False) for argument in arguments]

    def to_list(value: tuple[Any, ...]) -> list[Any]:
        # One too many or too few is found by the reader.
        items = [hook(item) for hook, item in zip(hooks, value, strict=False)]
        return [*items, *value[len(hooks) :]]

    return writer(annotation if is_namedtuple(annotation) else tuple, to_list)


def located(hook: Hook, annotation: Any, index: Any, value: Any) -> Any:
    """Read an item; its error gets the place that the item has in its container."""
    try:
        return hook(value, annotation)
    except Exception as error:
        note = cattrs.IterableValidationNote(f"item {index}", index, annotation)
        error.add_note(note)
        raise cattrs.IterableValidationError("in a container", [error], tuple) from error


def _mapping_factory(converter: cattrs.Converter, annotation: Any) -> Hook:
    key, value_type = typing.get_args(annotation) or (str, Any)
    keys = _key_reader(converter, key)
    values = converter.get_structure_hook(value_type, cache_result=False)

    def from_object(value: Any, _: Any) -> Any:
        expect(dict, value)
        return {
            located(keys, key, name, name): located(values, value_type, name, item)
            for name, item in value.items()
        }

    return from_object


def _mapping_writer(converter: cattrs.Converter, annotation: Any) -> Write:
    unstructure = mapping_unstructure_factory(annotation, converter, unstructure_to=dict)
    return writer(dict if _shape(annotation) is dict else Mapping, unstructure)


def _key_reader(converter: cattrs.Converter, annotation: Any) -> Hook:
    bare = annotation
    while hasattr(bare, "__supertype__") or typing.get_origin(bare) is typing.Annotated:
        bare = getattr(bare, "__supertype__", None) or typing.get_args(bare)[0]
    if bare is int:
        return _integer_key
    as_text = (str, *AS_TEXT)
    if not (
        bare is Any
        or is_literal(bare)
        or is_enum(bare)
        or (isinstance(bare, type) and issubclass(bare, as_text))
    ):
        raise TypeError(f"keys of type {type_name(annotation)} are not stored as text")
    return partial(_text_key, converter.get_structure_hook(annotation, cache_result=False))


def _text_key(structure: Hook, value: Any, annotation: Any) -> Any:
    """JSON would write another key as text, and it would come back as that."""
    if value.__class__ is not str:
        raise mismatch("a key that is stored as text", value)
    return structure(value, annotation)


def _integer_key(value: Any, _: Any) -> int:
    """JSON writes every key as text; before it is written an integer key is still an integer."""
    if value.__class__ is int or (value.__class__ is str and value == str(int(value))):
        return int(value)
    raise mismatch("int", value)
