"""What classes are made of: their fields as they are stored, and whether there is more to them."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

import attrs

__all__ = ["Part", "is_only_parts", "parts_of", "setters_of"]


@attrs.frozen
class Part:
    """A field of a class.

    Attributes:
        name: the attribute, and the key under which its value is stored.
        argument: what the class calls it when an instance is made.
        is_optional: it has a default.
        by_name: the class does not take it by its place.
        default: what it then is, alone; nothing if that is made anew each time, or not known.
    """

    name: str
    argument: str
    annotation: Any
    is_optional: bool = False
    by_name: bool = False
    default: tuple[Any, ...] = ()


def parts_of(cls: Any) -> tuple[Part, ...] | None:
    """The fields that an instance is made of, in order.

    None where there is more to say of a field's type than what stands there, such as a variable
    of a generic class: cattrs knows how that is done.
    """
    if not isinstance(cls, type) or hasattr(cls, "__parameters__"):
        return None
    parts = _parts_of_dataclass(cls) if dataclasses.is_dataclass(cls) else _parts_of_attrs(cls)
    return parts if all(_is_settled(part.annotation) for part in parts) else None


def _parts_of_attrs(cls: Any) -> tuple[Part, ...]:
    if any(isinstance(field.type, str) for field in attrs.fields(cls)):
        attrs.resolve_types(cls)
    return tuple(
        Part(
            field.name,
            field.alias or field.name,
            field.type,
            field.default is not attrs.NOTHING,
            field.kw_only,
            () if isinstance(field.default, attrs.Factory) else (field.default,),  # type: ignore[arg-type]  # a class
        )
        for field in attrs.fields(cls)
        if field.init
    )


def _parts_of_dataclass(cls: Any) -> tuple[Part, ...]:
    fields = [field for field in dataclasses.fields(cls) if field.init]
    unresolved = any(isinstance(field.type, str) for field in fields)
    hints = typing.get_type_hints(cls) if unresolved else {}
    missing = dataclasses.MISSING
    return tuple(
        Part(
            field.name,
            field.name,
            hints.get(field.name, field.type),
            field.default is not missing or field.default_factory is not missing,
            field.kw_only is True,
            () if field.default is missing else (field.default,),
        )
        for field in fields
    )


def _is_settled(annotation: Any) -> bool:
    """Made of nothing but classes, and choices of values."""
    if typing.get_origin(annotation) is typing.Literal:
        return True
    arguments = typing.get_args(annotation)
    if arguments and typing.get_origin(annotation) is not typing.Annotated:
        return all(map(_is_settled, arguments))
    return (
        isinstance(annotation, type | typing.NewType) or annotation is Any or annotation is Ellipsis
    )


def is_only_parts(cls: type) -> bool:
    """Can an instance be made of any values of its fields, with no code of the user's run?"""
    call: Any = type(cls).__call__
    new: Any = cls.__new__
    if call is not type.__call__ or new is not object.__new__:
        return False
    if any(hasattr(cls, hook) for hook in _HOOKS):
        return False
    if "__attrs_attrs__" in vars(cls):
        return _is_only_attrs(cls)
    return "__dataclass_fields__" in vars(cls) and _is_only_dataclass(cls)


def setters_of(cls: type, parts: tuple[Part, ...]) -> list[Callable[[Any, Any], None]] | None:
    """For a class that `is_only_parts`: what sets the slots of a new instance, if that is all."""
    members = [inspect.getattr_static(cls, part.name, None) for part in parts]
    if not all(isinstance(member, types.MemberDescriptorType) for member in members):
        return None
    return [member.__set__ for member in members]


def _is_only_attrs(cls: type[attrs.AttrsInstance]) -> bool:
    traits = attrs.inspect(cls)
    fields = attrs.fields(cls)
    return (
        _is_generated(cls, _Attrs)
        and not traits.is_exception
        # Its place for the hash has to be set, too.
        and traits.hashability is not attrs.ClassProps.Hashability.HASHABLE_CACHED
        and all(field.init and not (field.validator or field.converter) for field in fields)
        and (traits.is_frozen or cls.__setattr__ is object.__setattr__)
        and not any(_is_guarded(cls, field.name) for field in fields)
    )


def _is_only_dataclass(cls: Any) -> bool:
    fields = dataclasses.fields(cls)
    return (
        _is_generated(cls, _Dataclass)
        # Others are no fields, but arguments.
        and len(fields) == len(cls.__dataclass_fields__)
        and all(field.init for field in fields)
        and (cls.__dataclass_params__.frozen or cls.__setattr__ is object.__setattr__)
        and not any(_is_guarded(cls, field.name) for field in fields)
    )


def _is_generated(cls: Any, like: Any) -> bool:
    """Is its ``__init__`` as it is made for every class, not the user's own, nor one around it?"""
    code, sample = (getattr(each.__init__, "__code__", None) for each in (cls, like))
    return code is not None and _origin(code) == _origin(sample)


def _origin(code: Any) -> tuple[str, str]:
    # What follows in the name of the file is that of the class.
    return code.co_qualname, code.co_filename.partition(" ")[0]


def _is_guarded(cls: type, name: str) -> bool:
    """Does the class look at what is assigned to it?"""
    found = inspect.getattr_static(cls, name, None)
    return hasattr(type(found), "__set__") and not isinstance(found, types.MemberDescriptorType)


@attrs.frozen
class _Attrs:
    field: int


@dataclasses.dataclass
class _Dataclass:
    field: int


_HOOKS = ("__attrs_pre_init__", "__attrs_post_init__", "__post_init__")
