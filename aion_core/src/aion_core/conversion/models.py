"""Pydantic's models, for those who have it: it is never imported here, only met."""

from __future__ import annotations

import json
import sys
from typing import Any

import cattrs

from aion_core.conversion.misfits import Hook, Misfit, Write, mismatch, type_name

__all__ = ["add_models", "is_model"]


def add_models(converter: cattrs.Converter) -> None:
    """Teach a converter models, which validate and write themselves, strictly."""
    converter.register_structure_hook_factory(is_model, _model_factory)
    converter.register_unstructure_hook_factory(is_model, _model_writer)


def is_model(annotation: Any) -> bool:
    """A pydantic model. Where there is one, its author has imported pydantic."""
    pydantic: Any = sys.modules.get("pydantic")
    base = getattr(pydantic, "BaseModel", None)
    return base is not None and isinstance(annotation, type) and issubclass(annotation, base)


def _model_factory(cls: Any) -> Hook:
    def read(value: Any, _: Any) -> Any:
        if value.__class__ is not dict:
            raise mismatch(f"{type_name(cls)} as an object", value)
        try:
            # From text: only there does strict mode know that JSON has no dates.
            return cls.model_validate_json(json.dumps(value), strict=True)
        except ValueError as error:
            raise _located(error, cls) from error

    return read


def _model_writer(cls: Any) -> Write:
    def write(value: Any) -> object:
        if value.__class__ is not cls:
            return Misfit(type_name(cls), value)
        try:
            return value.model_dump(mode="json", by_alias=True, round_trip=True, warnings="error")
        except ValueError as error:
            return Misfit(type_name(cls), value, " ".join(str(error).split()))

    return write


def _located(error: Any, cls: type) -> Exception:
    """Pydantic's first complaint, with its place as cattrs tells places."""
    details: Any = getattr(error, "errors", list)()
    if not details:
        return ValueError(str(error))
    first = details[0]
    path = list(first["loc"])
    located: Exception
    if first["type"] == "missing":
        located = KeyError(path[-1])
    else:
        message = first["msg"].replace("Input should be ", "expected ")
        located = ValueError(f"{message}, got {type(first['input']).__name__}")
    for step in reversed(path):
        located = _inside(located, step, cls)
    return located


def _inside(error: Exception, step: str | int, cls: type) -> Exception:
    if isinstance(step, int):
        error.add_note(cattrs.IterableValidationNote(f"item {step}", step, None))
        return cattrs.IterableValidationError("in a list", [error], cls)
    error.add_note(cattrs.AttributeValidationNote(f"field {step}", step, None))
    return cattrs.ClassValidationError("in a model", [error], cls)
