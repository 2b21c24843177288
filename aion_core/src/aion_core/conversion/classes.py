"""Values that are one JSON object: attrs classes, dataclasses, typed dictionaries."""

from __future__ import annotations

import threading
import typing
from functools import partial
from typing import Any

import attrs
import cattrs
import typing_extensions
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from aion_core.conversion.compiled import class_reader
from aion_core.conversion.misfits import (
    Hook,
    Misfit,
    Write,
    WriteObject,
    expect,
    mismatch,
    type_name,
    writer,
)

__all__ = ["add_classes", "is_class", "is_typed_dict"]


def add_classes(converter: cattrs.Converter, *, compiled: bool) -> None:
    """Teach a converter all of them.

    Args:
        compiled: whether classes are read by functions that do not know where they are.
    """
    reading = partial(_class_factory, converter)
    if compiled:
        reading = partial(_compiled_factory, converter, _Begun())
    converter.register_structure_hook_factory(is_class, reading)
    converter.register_unstructure_hook_factory(is_class, partial(_class_writer, converter))
    converter.register_structure_hook_factory(
        is_typed_dict, partial(_dict_factory, converter, _Begun())
    )
    converter.register_unstructure_hook_factory(
        is_typed_dict, partial(_dict_writer, converter, _Begun())
    )


def is_class(annotation: Any) -> bool:
    """An attrs class or a dataclass, generic or not."""
    return attrs.has(annotation) or (
        isinstance(typing.get_origin(annotation) or annotation, type)
        and hasattr(annotation, "__dataclass_fields__")
    )


def is_typed_dict(annotation: Any) -> bool:
    """A dict with known keys."""
    return typing_extensions.is_typeddict(annotation)


def _class_factory(converter: cattrs.Converter, cls: Any) -> Hook:
    structure = make_dict_structure_fn(cls, converter)

    def from_object(value: Any, _: Any) -> Any:
        if value.__class__ is not dict:
            raise mismatch(f"{type_name(cls)} as an object", value)
        return structure(value, cls)

    return from_object


def _compiled_factory(converter: cattrs.Converter, begun: _Begun, cls: Any) -> Hook:
    if cls in begun.classes:
        return converter.structure
    begun.classes.add(cls)
    try:
        return class_reader(converter, cls) or _class_factory(converter, cls)
    finally:
        begun.classes.discard(cls)


def _class_writer(converter: cattrs.Converter, cls: Any) -> Write:
    unstructure = make_dict_unstructure_fn(cls, converter)
    return WriteObject(type_name(cls), typing.get_origin(cls) or cls, unstructure)


class _Begun(threading.local):
    """Types whose hooks this thread is making: one that holds itself asks for it later."""

    def __init__(self) -> None:
        self.classes: set[Any] = set()


def _dict_factory(converter: cattrs.Converter, begun: _Begun, cls: Any) -> Hook:
    if cls in begun.classes:
        return converter.structure
    begun.classes.add(cls)
    try:
        hints = _hints(cls)
        hooks = {
            name: converter.get_structure_hook(hint, cache_result=False)
            for name, hint in hints.items()
        }
    finally:
        begun.classes.discard(cls)

    def from_object(value: Any, _: Any) -> Any:
        expect(dict, value)
        errors: list[Exception] = []
        found = {}
        for name, hook in hooks.items():
            try:
                if name in value:
                    found[name] = hook(value[name], hints[name])
                elif name in cls.__required_keys__:
                    raise KeyError(name)
            except Exception as error:
                error.add_note(cattrs.AttributeValidationNote(f"key {name}", name, hints[name]))
                errors.append(error)
        if errors:
            raise cattrs.ClassValidationError(f"in {type_name(cls)}", errors, cls)
        return found

    return from_object


def _dict_writer(converter: cattrs.Converter, begun: _Begun, cls: Any) -> Write:
    if cls in begun.classes:
        return partial(converter.unstructure, unstructure_as=cls)
    begun.classes.add(cls)
    try:
        hooks = {
            name: converter.get_unstructure_hook(hint, cache_result=False)
            for name, hint in _hints(cls).items()
        }
    finally:
        begun.classes.discard(cls)

    def to_object(value: dict[str, Any]) -> object:
        for name in value:
            if name not in hooks:
                # It has no type by which it could come back.
                return Misfit(type_name(cls), value, f"{type_name(cls)} has no key {name!r}")
        # In the order of its definition, as equal dictionaries are to be stored alike.
        return {name: hook(value[name]) for name, hook in hooks.items() if name in value}

    return writer(dict, to_object)


def _hints(cls: Any) -> dict[str, Any]:
    hints = typing_extensions.get_type_hints(cls, include_extras=True)
    return {name: _value_type(hint) for name, hint in hints.items()}


def _value_type(hint: Any) -> Any:
    """Without what only says whether the key has to be there, or may be changed."""
    while typing_extensions.get_origin(hint) in _QUALIFIERS:
        (hint,) = typing_extensions.get_args(hint)
    return hint


_QUALIFIERS = (
    typing_extensions.Required,
    typing_extensions.NotRequired,
    typing_extensions.ReadOnly,
)
