"""The converter: all hooks in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cattrs

from aion_core.conversion.classes import add_classes
from aion_core.conversion.containers import add_containers
from aion_core.conversion.models import add_models
from aion_core.conversion.scalars import add_scalars, enum_writer, is_enum
from aion_core.conversion.unions import add_unions

__all__ = ["strict_converter"]


class _Converter(cattrs.Converter):
    """Asks for enums first: to cattrs an `enum.StrEnum` is a text before it is an enum."""

    def __init__(self) -> None:
        super().__init__(detailed_validation=True)
        self._enums: dict[Any, Callable[[Any], Any]] = {}

    def get_unstructure_hook(self, type: Any, cache_result: bool = True) -> Callable[[Any], Any]:
        if not is_enum(type):
            return super().get_unstructure_hook(type, cache_result)
        hook = self._enums.get(type)
        if hook is None:
            hook = self._enums[type] = enum_writer(self, type)
        return hook

    def unstructure(self, obj: Any, unstructure_as: Any = None) -> Any:
        annotation = obj.__class__ if unstructure_as is None else unstructure_as
        return self.get_unstructure_hook(annotation)(obj)


def strict_converter(*, compiled: bool = False) -> cattrs.Converter:
    """A converter that refuses, in both directions, what does not fit its annotation exactly.

    Args:
        compiled: whether it is a fast one, whose errors do not say where they are.
    """
    converter = _Converter()
    # The order matters: cattrs asks the factory registered last first.
    add_classes(converter, compiled=compiled)
    for add in (add_models, add_containers, add_scalars, add_unions):
        add(converter)
    return converter
