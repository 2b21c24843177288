"""Unions: to which member a stored value belongs must be plain from how it is stored."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import attrs
import cattrs
from cattrs.cols import is_frozenset, is_set
from cattrs.disambiguators import create_default_dis_func

from aion_core.conversion.classes import is_class, is_typed_dict
from aion_core.conversion.containers import is_list, is_mapping, is_tuple
from aion_core.conversion.misfits import Hook, Misfit, Write, mismatch, type_name
from aion_core.conversion.models import is_model
from aion_core.conversion.scalars import AS_TEXT, PLAIN, is_enum, is_literal

__all__ = ["add_unions"]


def add_unions(converter: cattrs.Converter) -> None:
    """Teach a converter unions of any types that are told apart by what JSON makes of them."""
    converter.register_structure_hook_factory(_is_union, partial(_union_factory, converter))
    converter.register_unstructure_hook_factory(_is_union, partial(_union_writer, converter))


@attrs.frozen
class _Member:
    """One type of a union.

    Attributes:
        shapes: what `json.loads` may make of its values.
        as_is: its values are stored as themselves, so it does not matter who reads them.
    """

    annotation: Any
    shapes: frozenset[type]
    as_is: bool


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _union_factory(converter: cattrs.Converter, union: Any) -> Hook:
    members = list(_members(union))
    for member in members:
        # First of all, is anything known of it?
        converter.get_structure_hook(member.annotation, cache_result=False)
    readers: dict[type, list[tuple[Hook, Any]]] = {}
    for shape in sorted({shape for member in members for shape in member.shapes}, key=str):
        candidates = _candidates(shape, members)
        if len(candidates) > 1 and not all(member.as_is for member in candidates):
            readers[shape] = [(_class_chooser(converter, union, candidates), union)]
        else:
            readers[shape] = [
                (
                    converter.get_structure_hook(member.annotation, cache_result=False),
                    member.annotation,
                )
                for member in candidates
            ]
    others = [member for member in members if member.annotation is not type(None)]

    def read(value: Any, _: Any) -> Any:
        found = readers.get(value.__class__)
        if found is None:
            if len(others) > 1:
                raise mismatch(type_name(union), value)
            # It knows better what is wrong.
            hook = converter.get_structure_hook(others[0].annotation)
            return hook(value, others[0].annotation)
        for hook, annotation in found[:-1]:
            try:
                return hook(value, annotation)
            except (TypeError, ValueError):
                pass
        hook, annotation = found[-1]
        return hook(value, annotation)

    return read


def _candidates(shape: type, members: list[_Member]) -> list[_Member]:
    """Who may have written a value of this shape."""
    candidates = [member for member in members if shape in member.shapes]
    if shape is int and any(member.annotation is int for member in members):
        # A float reads whole numbers, too, where nobody else does.
        candidates = [member for member in candidates if member.annotation is not float]
    return candidates


def _class_chooser(converter: cattrs.Converter, union: Any, members: list[_Member]) -> Hook:
    """Classes are told apart by a field that only one of them must have, or by a literal."""
    if not all(is_class(member.annotation) for member in members):
        raise _alike(union, members)
    classes = [member.annotation for member in members]
    names = " | ".join(map(type_name, classes))
    try:
        choose = create_default_dis_func(converter, *classes)
    except TypeError as error:
        raise _alike(union, members) from error

    def read(value: Any, _: Any) -> Any:
        try:
            chosen = choose(value)
        except (KeyError, ValueError) as error:
            raise ValueError(f"expected {names}, got an object that is none of them") from error
        found: Any = chosen
        return converter.structure(value, found)

    return read


def _alike(union: Any, members: list[_Member]) -> TypeError:
    names = " and ".join(type_name(member.annotation) for member in members)
    return TypeError(f"{names} are stored alike and could not be told apart in {type_name(union)}")


def _union_writer(converter: cattrs.Converter, union: Any) -> Write:
    members = [
        (
            converter.get_unstructure_hook(member.annotation, cache_result=False),
            converter.get_structure_hook(member.annotation, cache_result=False),
            member,
        )
        for member in _members(union)
    ]
    others = [member for member in members if member[2].annotation is not type(None)]
    name = type_name(union)

    def write(value: Any) -> object:
        if value is None and len(others) < len(members):
            return None
        if len(others) == 1:
            # It knows better what is wrong.
            plain = others[0][0](value)
            return (
                Misfit(name, value, f"{name} would come back as None") if plain is None else plain
            )
        for to_plain, from_plain, member in members:
            plain = to_plain(value)
            if isinstance(plain, Misfit):
                continue
            if not member.as_is or _fits(from_plain, plain, member):
                return plain
        return Misfit(name, value)

    return write


def _fits(from_plain: Hook, plain: object, member: _Member) -> bool:
    try:
        from_plain(plain, member.annotation)
    except (TypeError, ValueError):
        return False
    return True


def _members(union: Any) -> Iterator[_Member]:
    for annotation in typing.get_args(union):
        yield from _members_of(annotation)


def _members_of(annotation: Any) -> Iterator[_Member]:
    bare = annotation
    while True:
        if hasattr(bare, "__supertype__"):
            bare = bare.__supertype__
        elif typing.get_origin(bare) is typing.Annotated:
            bare = typing.get_args(bare)[0]
        else:
            break
    if _is_union(bare):
        yield from _members(bare)
    else:
        yield _Member(bare, *_stored_as(bare))


def _stored_as(annotation: Any) -> tuple[frozenset[type], bool]:
    """What JSON makes of a type's values, and whether they are stored as themselves."""
    if annotation in PLAIN:
        return frozenset({float, int} if annotation is float else {annotation}), True
    if is_literal(annotation):
        values = typing.get_args(annotation)
        has_enum = any(is_enum(value.__class__) for value in values)
        return frozenset(_plain(value).__class__ for value in values), not has_enum
    if is_enum(annotation):
        return frozenset(_plain(member).__class__ for member in annotation), False
    if annotation is timedelta:
        return frozenset({float, int}), False
    if isinstance(annotation, type) and issubclass(annotation, AS_TEXT):
        return frozenset({str}), False
    if any(matches(annotation) for matches in (is_list, is_tuple, is_set, is_frozenset)):
        return frozenset({list}), False
    if any(matches(annotation) for matches in (is_class, is_typed_dict, is_model, is_mapping)):
        return frozenset({dict}), False
    # Nobody knows, of `Any` or of a registered class: it can stand beside None only.
    return frozenset({str, int, float, bool, list, dict}), False


def _plain(value: Any) -> Any:
    return value.value if is_enum(value.__class__) else value
