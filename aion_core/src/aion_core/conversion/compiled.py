"""Fast functions for values of one type: each does what the converter does, or gives up.

They are made once for each type. What they do not know they leave to the converter's hooks, and
where a value does not fit they raise whatever comes. Then, and only then, the careful converter has
its turn, which knows where it stands, and decides. So nothing is taken here that it would refuse.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cattrs

from aion_core.conversion.misfits import Hook, WriteObject
from aion_core.conversion.parts import Part, is_only_parts, parts_of, setters_of
from aion_core.generating import (
    OBJECT_OF_TEXT,
    SCALARS,
    Unsure,
    expression,
    is_exactly,
    make_function,
    object_text,
    unless,
)
from aion_core.json_text import scan_json, write_json

__all__ = ["Text", "Texts", "class_reader", "parts_reader", "value_reader"]

Text = Callable[[Any], str]
"""The JSON text of a value."""


def class_reader(converter: cattrs.Converter, cls: Any) -> Hook | None:
    """Reads instances of a class of objects; None if that is for cattrs to do."""
    parts = parts_of(cls)
    if parts is None:
        return None
    begin = ["if fields.__class__ is not dict: raise Unsure"]
    made: Hook = _reader(converter, parts, "read(fields, _)", begin, cls)
    return made


def value_reader(converter: cattrs.Converter, annotation: Any) -> Callable[[str], Any]:
    """Reads values of a type from their JSON texts."""
    hook = converter.get_structure_hook(annotation)
    if isinstance(converter.get_unstructure_hook(annotation), WriteObject):
        parts = parts_of(annotation)
        if parts is not None:
            # Nobody registered it, so this is what the hook does, in one function.
            return _reader(converter, parts, "read(text)", OBJECT_OF_TEXT, annotation)

    def read(text: str) -> Any:
        value, end = scan_json(text, 0)
        if end != len(text):
            raise Unsure
        return hook(value, annotation)

    return read


def parts_reader(
    converter: cattrs.Converter, parts: tuple[Part, ...]
) -> Callable[[str], dict[str, Any]]:
    """Reads values by their names, of which only the optional ones may be missing."""
    return _reader(converter, parts, "read(text)", OBJECT_OF_TEXT, None)


def _reader(
    converter: cattrs.Converter,
    parts: tuple[Part, ...],
    head: str,
    begin: Sequence[str],
    cls: Any,
) -> Callable[..., Any]:
    """A function that reads parts from ``fields``, which ``begin`` sets: an instance, or a dict."""
    is_simple = cls is not None and is_only_parts(cls)
    names: dict[str, object] = {"cls": cls}
    # Only of a simple class is it known that an absent field becomes its default.
    given = [_is_given(part, is_simple) for part in parts]
    lines = [*begin, *(["rest = {}"] if not all(given) else [])]
    for index, part in enumerate(parts):
        lines += _read_part(converter, part, f"v{index}", given[index], names)
    rest = ["**rest"] if not all(given) else []
    if cls is None:
        members = [f"{part.name!r}: v{n}" for n, part in enumerate(parts) if given[n]]
        lines.append(f"return {{{', '.join([*members, *rest])}}}")
        return make_function(head, lines, names)
    setters = setters_of(cls, parts) if is_simple and all(given) else None
    if setters is not None:
        names["new"] = object.__new__
        names.update({f"set{n}": setter for n, setter in enumerate(setters)})
        lines.append("made = new(cls)")
        lines += [f"set{n}(made, v{n})" for n in range(len(parts))]
        lines.append("return made")
        return make_function(head, lines, names)
    # Arguments by name take twice the time, but with an `__init__` of the user's they have to be.
    by_place = [is_simple and not (part.by_name or part.is_optional) for part in parts]
    arguments = [f"v{n}" for n in range(len(parts)) if by_place[n]]
    arguments += [
        f"{part.argument}=v{n}" for n, part in enumerate(parts) if given[n] and not by_place[n]
    ]
    lines.append(f"return cls({', '.join([*arguments, *rest])})")
    return make_function(head, lines, names)


def _is_given(part: Part, is_simple: bool) -> bool:
    """Does its variable have a value, whatever was stored?"""
    return not part.is_optional or (is_simple and bool(part.default))


def _read_part(
    converter: cattrs.Converter, part: Part, value: str, given: bool, names: dict[str, object]
) -> list[str]:
    """The lines that set the part's variable, or an item of ``rest`` if it may be without value."""
    lines = [f"{value} = fields[{part.name!r}]", *_read(converter, part, value, names)]
    if not part.is_optional:
        return lines
    lines = [f"if {part.name!r} in fields:", *(f" {line}" for line in lines)]
    if not given:
        return [*lines, f" rest[{part.argument!r}] = {value}"]
    (names[f"default_{value}"],) = part.default
    return [*lines, f"else: {value} = default_{value}"]


def _read(
    converter: cattrs.Converter, part: Part, value: str, names: dict[str, object]
) -> list[str]:
    """The lines that make of what JSON has in a variable what the part has."""
    annotation, or_none = _or_none(part.annotation)
    scalar = _bare(annotation)
    if scalar in SCALARS:
        absent = f"{value} is not None and " if or_none else ""
        return [f"if {absent}not {is_exactly(value, scalar)}: raise Unsure"]
    names |= {f"read_{value}": _hook(converter, part.annotation), f"type_{value}": part.annotation}
    return [f"{value} = read_{value}({value}, type_{value})"]


def _hook(converter: cattrs.Converter, annotation: Any) -> Hook:
    try:
        return converter.get_structure_hook(annotation, cache_result=False)
    except RecursionError:
        # A class that holds itself, by way of one that cattrs reads.
        return converter.structure


class Texts:
    """Makes the functions that write values, those of each class once."""

    def __init__(self, converter: cattrs.Converter) -> None:
        self._converter = converter
        self._of_classes: dict[Any, Text | None] = {}

    def of_value(self, annotation: Any, within: tuple[Any, ...] = ()) -> Text:
        """Writes values of a type.

        Args:
            within: the classes whose functions are being made.
        """
        annotation = type(None) if annotation is None else annotation
        return self._known(annotation, within) or _checked_text(self._converter, annotation)

    def of_parts(self, parts: tuple[Part, ...]) -> Callable[..., str]:
        """Writes one value for each part, in order, as an object."""
        values = ", ".join(f"v{index}" for index in range(len(parts)))
        return self._of_object(parts, f"write({values})", [], {}, ())

    def _known(self, annotation: Any, within: tuple[Any, ...]) -> Text | None:
        """A function that needs no reader to know that its text can be read, if there is one."""
        annotation, or_none = _or_none(annotation)
        bare = _bare(annotation)
        text: Text | None = None
        if bare in SCALARS:
            written = expression(SCALARS[bare].format("value"))
            lines = [*unless([is_exactly("value", bare)]), f"return {written}"]
            text = make_function("write(value)", lines, {})
        elif bare in _TEXTS:
            text = _TEXTS[bare]
        elif typing.get_origin(bare) is list and typing.get_args(bare):
            text = self._of_list(typing.get_args(bare)[0], within)
        elif isinstance(self._converter.get_unstructure_hook(annotation), WriteObject):
            text = self._of_class(annotation, within)
        if text is None or not or_none:
            return text
        known = text
        return lambda value: "null" if value is None else known(value)

    def _of_list(self, item: Any, within: tuple[Any, ...]) -> Text:
        bare = _bare(item)
        if bare in SCALARS:
            return partial(_scalars_text, {bare})
        return partial(_items_text, self.of_value(item, within))

    def _of_class(self, cls: Any, within: tuple[Any, ...]) -> Text | None:
        if cls in within:
            # One that holds itself: its text could be deeper than anybody can read.
            return None
        if cls not in self._of_classes:
            parts = parts_of(cls)
            text: Text | None = None
            if parts is not None and is_only_parts(cls):
                lines = ["if value.__class__ is not cls: raise Unsure"]
                lines += [f"v{index} = value.{part.name}" for index, part in enumerate(parts)]
                names = {"cls": cls}
                text = self._of_object(parts, "write(value)", lines, names, (*within, cls))
            self._of_classes[cls] = text
        return self._of_classes[cls]

    def _of_object(
        self,
        parts: tuple[Part, ...],
        head: str,
        lines: list[str],
        names: dict[str, object],
        within: tuple[Any, ...],
    ) -> Callable[..., str]:
        """Writes what stands in ``v0``, ``v1``, … after ``lines``."""
        conditions, members = [], []
        for index, part in enumerate(parts):
            value, bare = f"v{index}", _bare(part.annotation)
            if bare in SCALARS:
                conditions.append(is_exactly(value, bare))
                members.append((part.name, SCALARS[bare].format(value)))
            else:
                names[f"text_{value}"] = self.of_value(part.annotation, within)
                members.append((part.name, f"{{text_{value}({value})}}"))
        lines += [*unless(conditions), f"return {expression(object_text(members))}"]
        return make_function(head, lines, names)


def _scalars_text(classes: set[type], value: Any) -> str:
    if value.__class__ is list and classes.issuperset(map(type, value)):
        return write_json(value)
    raise Unsure


def _items_text(text: Text, value: Any) -> str:
    if value.__class__ is list:
        return f"[{','.join([text(item) for item in value])}]"
    raise Unsure


def _float_text(value: Any) -> str:
    if value.__class__ is float and math.isfinite(value):
        return repr(value)
    # A whole number is written as one, and must be a float when it comes back.
    if value.__class__ is int and float(value) == value:
        return repr(value)
    raise Unsure


def _none_text(value: Any) -> str:
    if value is None:
        return "null"
    raise Unsure


_TEXTS: dict[Any, Text] = {float: _float_text, type(None): _none_text}


def _checked_text(converter: cattrs.Converter, annotation: Any) -> Text:
    """Writes a value and looks whether it could be read: what is right for any type."""
    to_plain = converter.get_unstructure_hook(annotation)
    from_plain = converter.get_structure_hook(annotation)

    def write(value: Any) -> str:
        plain = to_plain(value)
        from_plain(plain, annotation)
        return write_json(plain)

    return write


def _or_none(annotation: Any) -> tuple[Any, bool]:
    """The other member of a union with None, and that it is one."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = typing.get_args(annotation)
        others = [member for member in members if member is not type(None)]
        if len(others) == 1 < len(members):
            return others[0], True
    return annotation, False


def _bare(annotation: Any) -> Any:
    while isinstance(annotation, typing.NewType):
        annotation = annotation.__supertype__
    return annotation
