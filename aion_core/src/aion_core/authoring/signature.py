"""Signatures of user functions: how arguments and results become payloads and come back.

Arguments are stored as one JSON object by parameter name, so that a parameter with a default can
be added to a function while runs are open.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from aion_core.payloads import NamedTypes, Payload, PayloadConverter

__all__ = ["CallSignature", "check_definition"]

_NO_DEFAULT = inspect.Parameter.empty
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class CallSignature:
    """Parameters and result of one function.

    Raises:
        TypeError: a parameter or the result has no annotation, or a parameter has no name of its
            own (``*args``, ``**kwargs``, positional-only).
    """

    def __init__(self, fn: Callable[..., object]) -> None:
        self._fn = fn
        self._signature = inspect.signature(fn)
        self._names = tuple(self._signature.parameters)
        self._takes_keywords_only = False
        for name, parameter in self._signature.parameters.items():
            if parameter.kind not in _NAMED:
                raise TypeError(
                    f"parameter {parameter} of {fn.__qualname__} has no name to be stored under; "
                    "write it as an ordinary parameter"
                )
            self._takes_keywords_only |= parameter.kind is inspect.Parameter.KEYWORD_ONLY
            if parameter.annotation is inspect.Parameter.empty:
                raise TypeError(
                    f"parameter {name!r} of {fn.__qualname__} needs a type annotation, "
                    "which says how it is stored"
                )
        if self._signature.return_annotation is inspect.Signature.empty:
            raise TypeError(
                f"{fn.__qualname__} needs an annotation of its result, which says how it is "
                "stored; write '-> None' if there is none"
            )

    @cached_property
    def _hints(self) -> Mapping[str, Any]:
        # Resolved late: an annotation may name a class that is defined further down.
        return typing.get_type_hints(self._fn, include_extras=True)

    @cached_property
    def _types(self) -> NamedTypes:
        parameters = self._signature.parameters
        return NamedTypes(
            {name: self._hints[name] for name in self._names},
            frozenset(name for name in self._names if parameters[name].default is not _NO_DEFAULT),
        )

    def check_types(self, converter: PayloadConverter) -> None:
        """Find out early whether all types can be stored.

        Raises:
            TypeError: one cannot; the message names the parameter.
        """
        for name, annotation in self._hints.items():
            try:
                converter.check_type(annotation)
            except TypeError as error:
                place = "the result" if name == "return" else f"parameter {name!r}"
                raise TypeError(f"{place} of {self._fn.__qualname__}: {error}") from error

    def encode_arguments(
        self, args: tuple[object, ...], kwargs: Mapping[str, object], converter: PayloadConverter
    ) -> Payload:
        """Store the arguments of a call.

        Raises:
            TypeError: they are not arguments of the function.
            PayloadError: a value does not fit its annotation.
        """
        if kwargs or self._takes_keywords_only or len(args) != len(self._names):
            args = self._in_order(args, kwargs)
        return converter.encode_named(args, self._types)

    def _in_order(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[object, ...]:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            name = self._fn.__qualname__
            raise TypeError(f"{name}{self._signature} was called wrongly: {error}") from None
        bound.apply_defaults()
        return tuple(bound.arguments.values())

    def decode_arguments(self, payload: Payload, converter: PayloadConverter) -> dict[str, Any]:
        """Give stored arguments back, as keywords.

        Raises:
            PayloadError: they do not fit the function as it is now.
        """
        return converter.decode_named(payload, self._types)

    def encode_result(self, value: object, converter: PayloadConverter) -> Payload:
        """Store what the function returned. Raises `PayloadError`."""
        return converter.encode(value, self._hints["return"])

    def decode_result(self, payload: Payload, converter: PayloadConverter) -> Any:
        """Give a stored result back. Raises `PayloadError`."""
        return converter.decode(payload, self._hints["return"])


def check_definition(fn: object, role: str) -> None:
    """Refuse what cannot be found again by its name.

    Raises:
        TypeError: a lambda, method, class or generator; says what to write.
    """
    advice = "; write it as a function at the top of a module"
    if isinstance(fn, staticmethod | classmethod) or inspect.ismethod(fn):
        raise TypeError(f"a method cannot be {role}{advice}")
    if inspect.isclass(fn):
        raise TypeError(f"the class {fn.__qualname__} cannot be {role}{advice}")
    if not inspect.isfunction(fn):
        raise TypeError(f"{fn!r} cannot be {role}{advice}")
    owner = fn.__qualname__.rpartition(".")[0]
    if fn.__name__ == "<lambda>":
        raise TypeError(f"a lambda cannot be {role}{advice}")
    if owner and not owner.endswith("<locals>"):
        raise TypeError(f"the method {fn.__qualname__} cannot be {role}{advice}")
    if inspect.isasyncgenfunction(fn) or inspect.isgeneratorfunction(fn):
        raise TypeError(f"the generator {fn.__qualname__} cannot be {role}{advice}")
