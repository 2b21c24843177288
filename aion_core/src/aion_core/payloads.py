"""Payloads: user values as bytes, converted strictly by the annotations of the user's functions.

Conversion happens here and nowhere else, with cattrs. Nothing is coerced: a value that does not
fit its annotation is a `PayloadError` that says where. Never pickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
import cattrs

from aion_core.conversion import strict_converter, type_name
from aion_core.errors import PayloadError

__all__ = ["JSON", "Payload", "PayloadConverter"]

JSON = "application/json"


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
    tuples, sets, optional values and unions of JSON's own types. What is annotated ``Any`` comes
    back as JSON has it.
    """

    def __init__(self) -> None:
        self._converter = strict_converter()

    def check_type(self, annotation: Any) -> None:
        """Find out early whether values of a type can be stored.

        Raises:
            TypeError: they cannot; the message names the type.
        """
        try:
            self._converter.get_structure_hook(annotation)
        except Exception as error:
            raise TypeError(
                f"values of type {type_name(annotation)} cannot be stored: {error}"
            ) from error

    def encode(self, value: object, annotation: Any) -> Payload:
        """Store a value.

        Raises:
            PayloadError: it does not fit its annotation, or JSON has no form for it.
        """
        return self._dump(self._to_plain(value, annotation, "$"))

    def encode_fields(
        self, values: Mapping[str, object], annotations: Mapping[str, Any]
    ) -> Payload:
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
            raise PayloadError(f"$: expected an object, got {type_name(type(plain))}")
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
                f"{path}: {type_name(type(value))} does not fit {type_name(annotation)}: {error}"
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
            return Payload(JSON, _write_json(plain).encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise PayloadError(_explain_json(plain, error)) from error


_JSON_SCALARS = frozenset({str, int, bool})
_write_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _load(payload: Payload) -> object:
    if payload.content_type != JSON:
        raise PayloadError(f"$: no converter reads content of type {payload.content_type!r}")
    try:
        return json.loads(payload.data)
    except (ValueError, RecursionError) as error:
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
    return f"{path}: {type_name(type(plain))} cannot be stored as JSON: {error}"
