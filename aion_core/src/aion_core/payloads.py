"""Payloads: user values as bytes, converted strictly by the annotations of the user's functions.

Conversion happens here and nowhere else, with cattrs. Nothing is coerced: a value that does not
fit its annotation is a `PayloadError` that says where. Never pickle. What becomes of the bytes on
their way to the store, such as encryption, is for a `PayloadCodec`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import cattrs

from aion_core.conversion import FastConversion, NamedTypes, add_type, strict_converter, type_name
from aion_core.errors import PayloadError
from aion_core.json_text import read_json, write_json
from aion_core.making import maker

__all__ = ["JSON", "NamedTypes", "Payload", "PayloadCodec", "PayloadConverter"]

JSON = "application/json"

T = TypeVar("T")


@attrs.frozen
class Payload:
    """A user value at rest.

    Attributes:
        content_type: a MIME type; ``application/json`` unless a codec says otherwise.
        data: the bytes, carried untouched.
    """

    content_type: str
    data: bytes


_make_payload = maker(Payload)


class PayloadCodec(ABC):
    """Bytes to other bytes on the way to the store, and back: compression, encryption.

    It is called at the edge only, in whatever thread encodes or decodes a value, so it must not
    block for long and must stand being called by several threads. The bytes need not be the same
    each time: replay compares no payloads.
    """

    @abstractmethod
    def encode(self, payload: Payload) -> Payload:
        """What is to be stored; its content type tells `decode` that this codec made it.

        Raises:
            PayloadError: it cannot be done; the value is not stored.
        """

    @abstractmethod
    def decode(self, payload: Payload) -> Payload:
        """What `encode` was given: the same content type, the same bytes.

        A payload that this codec did not make is returned as it is. That is how values stay
        readable that were stored before the codec came.

        Raises:
            PayloadError: it was damaged, or what it takes to read it, such as a key, is missing.
        """


class PayloadConverter:
    """Turns values into payloads and back, by type annotation.

    Knows what JSON knows, and: attrs classes, dataclasses, typed dictionaries, pydantic models,
    enums, literals, ``datetime``, ``date``, ``time``, ``timedelta`` (seconds), ``UUID``,
    ``Decimal`` (text), ``bytes`` (base64), paths, tuples, sets, and unions whose members are
    stored differently. What is annotated ``Any`` comes back as JSON has it.

    Each value is tried by fast functions first. Where those give up, the careful converter does it
    all over again, and it is the one that decides and explains.

    Args:
        codecs: what the bytes go through, the first one first; back in reverse.
    """

    def __init__(self, codecs: Sequence[PayloadCodec] = ()) -> None:
        for codec in codecs:
            if not isinstance(codec, PayloadCodec):
                raise TypeError(f"a payload codec is a PayloadCodec, not {codec!r}")
        self._codecs = tuple(codecs)
        self._fast = FastConversion()
        self._careful = strict_converter()

    def register(
        self, cls: type[T], to_plain: Callable[[T], object], from_plain: Callable[[Any], T]
    ) -> None:
        """Teach it another class, before it is used.

        Values of exactly this class, not of subclasses, are stored as what ``to_plain`` makes of
        them, which is of JSON's own types. ``from_plain`` gets that back; it refuses what it did
        not expect with a TypeError or ValueError, and coerces nothing.

        Raises:
            TypeError: ``cls`` is no class, or one with a stored form for good, such as ``int``;
                or one of the functions is none.
        """
        add_type(self._careful, cls, to_plain, from_plain)
        self._fast.add_type(cls, to_plain, from_plain)

    def same(self, first: Payload, second: Payload) -> bool:
        """Do both stand for the same value?

        Compared is the JSON behind the codecs: key order and spacing are no difference, 1 and
        true are. Payloads that are no JSON, or cannot be read, are the same only to the byte.
        """
        if first == second:
            return True
        try:
            return _canonical(self._undone(first)) == _canonical(self._undone(second))
        except PayloadError:
            return False

    def check_type(self, annotation: Any) -> None:
        """Find out early whether values of a type can be stored.

        Raises:
            TypeError: they cannot; the message names the type.
        """
        try:
            self._careful.get_structure_hook(annotation)
        except cattrs.StructureHandlerNotFoundError as error:
            raise TypeError(
                f"values of type {type_name(annotation)} cannot be stored: nothing is known of "
                f"{type_name(error.type_)}; a plugin can register it with the converter"
            ) from error
        except Exception as error:
            raise TypeError(
                f"values of type {type_name(annotation)} cannot be stored: {error}"
            ) from error

    def encode(self, value: object, annotation: Any) -> Payload:
        """Store a value.

        Raises:
            PayloadError: it does not fit its annotation, or JSON has no form for it.
        """
        try:
            data = self._fast.texts[annotation](value).encode()
        except Exception:
            data = None  # The careful one decides; what it says has nothing to do with this.
        if data is None:
            data = _dump(self._to_plain(value, annotation, "$"))
        payload = _make_payload(JSON, data)
        return self._done(payload) if self._codecs else payload

    def encode_fields(
        self, values: Mapping[str, object], annotations: Mapping[str, Any]
    ) -> Payload:
        """Store several named values as one JSON object, each by its own annotation."""
        return self._done(_make_payload(JSON, self._dump_fields(values, annotations)))

    def encode_named(self, values: Sequence[object], types: NamedTypes) -> Payload:
        """Store values as `encode_fields` does; there is one for each name, in order."""
        try:
            data = self._fast.named[types].text(*values).encode()
        except Exception:
            data = None  # The careful one decides.
        if data is None:
            named = dict(zip(types.annotations, values, strict=True))
            data = self._dump_fields(named, types.annotations)
        payload = _make_payload(JSON, data)
        return self._done(payload) if self._codecs else payload

    def decode(self, payload: Payload, annotation: Any) -> Any:
        """Give a stored value back.

        Raises:
            PayloadError: what is stored does not fit the annotation; says where.
        """
        if self._codecs:
            payload = self._undone(payload)
        try:
            if payload.content_type == JSON:
                return self._fast.readers[annotation](payload.data.decode())
        except Exception:
            pass  # The careful one decides.
        return self._from_plain(_load(payload), annotation, "$")

    def decode_fields(self, payload: Payload, annotations: Mapping[str, Any]) -> dict[str, Any]:
        """Give back named values stored by `encode_fields`.

        Fields without an annotation are ignored, absent ones left out: whether the rest can do
        is for the caller, who knows the defaults.
        """
        return self._fields(_load(self._undone(payload)), annotations)

    def decode_named(self, payload: Payload, types: NamedTypes) -> dict[str, Any]:
        """Give back values stored by `encode_named`, by their names.

        Raises:
            PayloadError: one does not fit, or one is missing that is not optional; says which.
        """
        if self._codecs:
            payload = self._undone(payload)
        try:
            if payload.content_type == JSON:
                return self._fast.named[types].read(payload.data.decode())
        except Exception:
            pass  # The careful one decides.
        found = self._fields(_load(payload), types.annotations)
        for name in types.annotations:
            if name not in found and name not in types.optional:
                raise PayloadError(f"$.{name}: field {name!r} is missing")
        return found

    def _fields(self, plain: object, annotations: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(plain, dict):
            raise PayloadError(f"$: expected an object, got {type_name(type(plain))}")
        return {
            name: self._from_plain(plain[name], annotation, f"$.{name}")
            for name, annotation in annotations.items()
            if name in plain
        }

    def _dump_fields(self, values: Mapping[str, object], annotations: Mapping[str, Any]) -> bytes:
        return _dump(
            {
                name: self._to_plain(value, annotations[name], f"$.{name}")
                for name, value in values.items()
            }
        )

    def _to_plain(self, value: object, annotation: Any, path: str) -> object:
        if value.__class__ is annotation and annotation in _JSON_SCALARS:
            return value
        annotation = type(None) if annotation is None else annotation
        try:
            plain = self._careful.unstructure(value, unstructure_as=annotation)
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
            return self._careful.structure(plain, annotation)
        except Exception as error:
            raise PayloadError(_where(error, path)) from error

    def _done(self, payload: Payload) -> Payload:
        for codec in self._codecs:
            payload = _through(codec, codec.encode, payload)
        return payload

    def _undone(self, payload: Payload) -> Payload:
        for codec in reversed(self._codecs):
            payload = _through(codec, codec.decode, payload)
        return payload


def _through(codec: PayloadCodec, step: Callable[[Payload], Payload], payload: Payload) -> Payload:
    try:
        result = step(payload)
    except PayloadError:
        raise
    except Exception as error:
        raise PayloadError(
            f"{type(codec).__name__} failed on a payload of type {payload.content_type!r}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(result, Payload):
        raise PayloadError(f"{type(codec).__name__} gave {type(result).__name__}, not a payload")
    return result


_JSON_SCALARS = frozenset({str, int, bool})


def _dump(plain: object) -> bytes:
    try:
        return write_json(plain).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise PayloadError(_explain_json(plain, error)) from error


def _load(payload: Payload) -> object:
    if payload.content_type != JSON:
        raise PayloadError(f"$: no converter reads content of type {payload.content_type!r}")
    try:
        return read_json(payload.data.decode())
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"$: not JSON: {error}") from error


def _canonical(payload: Payload) -> str:
    # Written out again, because to Python 1 and true are equal.
    return json.dumps(_load(payload), sort_keys=True)


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
