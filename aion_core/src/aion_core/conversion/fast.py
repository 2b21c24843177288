"""Whole values to JSON text and back, fast: what every activity needs, made once for each type.

Everything here raises whatever comes where a value does not fit; see ``compiled``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import attrs

from aion_core.conversion.compiled import Texts, parts_reader, value_reader
from aion_core.conversion.converter import strict_converter
from aion_core.conversion.parts import Part
from aion_core.conversion.registered import add_type
from aion_core.generating import MadeOnce

__all__ = ["FastConversion", "NamedTypes"]

T = TypeVar("T")


@attrs.frozen(eq=False)
class NamedTypes:
    """The types of several values that are stored together, such as a function's arguments.

    Compared by identity: what is made of it is remembered under it.

    Attributes:
        optional: names that may be absent from what is stored.
    """

    annotations: Mapping[str, Any]
    optional: frozenset[str] = frozenset()


@attrs.frozen
class NamedFunctions:
    """What is made of `NamedTypes`.

    Attributes:
        text: takes the values in order.
        read: takes the text, gives the values by their names.
    """

    text: Callable[..., str]
    read: Callable[[str], dict[str, Any]]


class FastConversion:
    """Makes the functions for each type when they are first asked for, and remembers them."""

    def __init__(self) -> None:
        self._converter = strict_converter(compiled=True)
        self._begin()

    def _begin(self) -> None:
        self._texts_of_types = Texts(self._converter)
        self.texts = MadeOnce(self._texts_of_types.of_value)
        self.readers = MadeOnce(partial(value_reader, self._converter))
        self.named = MadeOnce(self._functions_of)

    def add_type(
        self, cls: type[T], to_plain: Callable[[T], object], from_plain: Callable[[Any], T]
    ) -> None:
        """See `aion_core.conversion.add_type`."""
        add_type(self._converter, cls, to_plain, from_plain)
        # What is made already, of this class or of one that holds it, does not know of it.
        self._begin()

    def _functions_of(self, types: NamedTypes) -> NamedFunctions:
        parts = tuple(
            Part(name, name, annotation, is_optional=name in types.optional)
            for name, annotation in types.annotations.items()
        )
        return NamedFunctions(
            self._texts_of_types.of_parts(parts), parts_reader(self._converter, parts)
        )
