"""The codec: events as one JSON object each, beside the envelope and the kind.

Written by stable kind names, not class names, and read strictly: what does not fit is a
`CorruptHistoryError` that says where. An absent field reads as its default, which is what lets a
later version add fields to old histories.
"""

from __future__ import annotations

import base64
import json
import typing
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs
import cattrs
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from aion_core import events as e
from aion_core.errors import CorruptHistoryError
from aion_core.ids import WorkflowId
from aion_core.payloads import JSON, Payload
from aion_core.policies import ActivityOptions, RetryPolicy

__all__ = ["decode_event", "encode_event", "from_micros", "kind_of", "to_micros"]

_KINDS: dict[str, type[e.HistoryEvent]] = {
    "WorkflowStarted": e.WorkflowStarted,
    "WorkflowCompleted": e.WorkflowCompleted,
    "WorkflowFailed": e.WorkflowFailed,
    "ActivityScheduled": e.ActivityScheduled,
    "ActivityStarted": e.ActivityStarted,
    "ActivityCompleted": e.ActivityCompleted,
    "ActivityFailed": e.ActivityFailed,
    "ActivityCancelRequested": e.ActivityCancelRequested,
    "ActivityCancelled": e.ActivityCancelled,
    "TimerStarted": e.TimerStarted,
    "TimerFired": e.TimerFired,
    "TimerCancelled": e.TimerCancelled,
    "SignalReceived": e.SignalReceived,
}
_KIND_OF = {cls: kind for kind, cls in _KINDS.items()}
_OMITTED = override(omit=True)
# A recorded policy holds for its run even when a later version has other defaults.
_ALWAYS_WHOLE = (ActivityOptions, RetryPolicy)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def kind_of(event: e.HistoryEvent) -> str:
    """The stable name of an event's class."""
    return _KIND_OF[type(event)]


def encode_event(event: e.HistoryEvent) -> str:
    """The event's own fields as JSON text; kind and envelope are stored beside it."""
    return _dump(_WRITERS[type(event)](event))


def decode_event(
    kind: str, data: str, *, seq: int, recorded_at: datetime, workflow_id: WorkflowId
) -> e.HistoryEvent:
    """Read an event back.

    Raises:
        CorruptHistoryError: unknown kind, no JSON, or a field missing or of a wrong type.
    """
    reader = _READERS.get(kind)
    if reader is None:
        raise CorruptHistoryError(workflow_id, seq, "kind", f"unknown kind {kind!r}")
    try:
        fields = json.loads(data)
        fields["seq"] = seq
        fields["recorded_at"] = recorded_at
        fields["workflow_id"] = workflow_id
        return reader(fields, None)
    except Exception as error:
        place, reason = _explain(kind, data, error)
        raise CorruptHistoryError(workflow_id, seq, place, reason) from error


def to_micros(instant: datetime) -> int:
    """An aware instant as microseconds since 1970."""
    delta = instant - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """The aware UTC instant that `to_micros` was given, to the microsecond."""
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


_dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _write_payload(payload: Payload) -> dict[str, str]:
    # JSON stays readable for people who look into the store, and every byte comes back.
    if payload.content_type == JSON:
        try:
            return {"json": payload.data.decode()}
        except UnicodeDecodeError:
            pass
    return {"type": payload.content_type, "base64": base64.b64encode(payload.data).decode()}


def _read_payload(value: Any, _: Any) -> Payload:
    if value.__class__ is dict:
        match value:
            case {"json": str(text)}:
                return Payload(JSON, text.encode())
            case {"type": str(content_type), "base64": str(text)}:
                return Payload(content_type, base64.b64decode(text, validate=True))
    raise TypeError("expected a payload")


def _same_type(expected: type, value: Any, _: Any) -> Any:
    if value.__class__ is expected:
        return value
    if expected is float and value.__class__ is int:
        return float(value)
    raise TypeError(f"expected {expected.__name__}, got {value!r}")


def _read_instant(value: Any, _: Any) -> datetime:
    if value.__class__ is datetime:
        return value
    instant = datetime.fromisoformat(_same_type(str, value, None))
    if instant.tzinfo is None:
        raise ValueError(f"expected an instant with its zone, got {value!r}")
    return instant


def _read_object(value: Any, _: Any) -> Any:
    return _same_type(dict, value, None)


def _is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) is tuple


def _list_reader(converter: cattrs.Converter, annotation: Any) -> Callable[[Any, Any], Any]:
    structure = homogenous_tuple_structure_factory(annotation, converter)
    # Text would be taken apart into its characters.
    return lambda value, _: structure(_same_type(list, value, None), annotation)


def _object_reader(converter: cattrs.Converter, cls: Any) -> Callable[[Any, Any], Any]:
    structure = make_dict_structure_fn(cls, converter, _cattrs_use_linecache=False)
    # Of a class whose fields all have defaults anything else would be read as an empty object.
    return lambda value, _: structure(_same_type(dict, value, None), cls)


def _make_converter(detailed: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed)
    for scalar in (str, int, float, bool):
        converter.register_structure_hook(scalar, partial(_same_type, scalar))
    converter.register_structure_hook(datetime, _read_instant)
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook_factory(attrs.has, partial(_object_reader, converter))
    converter.register_structure_hook(Payload, _read_payload)
    converter.register_structure_hook_factory(_is_list, partial(_list_reader, converter))
    converter.register_unstructure_hook(Payload, _write_payload)
    converter.register_structure_hook_func(lambda cls: cls == dict[str, Any], _read_object)
    converter.register_unstructure_hook_factory(
        attrs.has,
        lambda cls: make_dict_unstructure_fn(
            cls, converter, _cattrs_omit_if_default=cls not in _ALWAYS_WHOLE
        ),
    )
    return converter


def _writer(cls: type[e.HistoryEvent], converter: cattrs.Converter) -> Callable[[Any], Any]:
    return make_dict_unstructure_fn(
        cls,
        converter,
        _cattrs_omit_if_default=True,
        seq=_OMITTED,
        recorded_at=_OMITTED,
        workflow_id=_OMITTED,
    )


def _explain(kind: str, data: str, error: Exception) -> tuple[str, str]:
    """Read once more with the slow converter that knows where it stands."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as broken:
        return "$", f"not JSON: {broken}"
    if not isinstance(fields, dict):
        return "$", "expected an object"
    fields |= {"seq": 1, "recorded_at": _EPOCH, "workflow_id": "w"}
    try:
        _CAREFUL.structure(fields, _KINDS[kind])
    except Exception as detailed:
        first = cattrs.transform_error(detailed, "$", lambda found, _: _describe(found))[0]
        reason, _, place = first.rpartition(" @ ")
        return place, reason
    return "$", _describe(error)


def _describe(error: BaseException) -> str:
    return f"field {error} is missing" if isinstance(error, KeyError) else str(error)


_CONVERTER = _make_converter(detailed=False)
_CAREFUL = _make_converter(detailed=True)
_WRITERS = {cls: _writer(cls, _CONVERTER) for cls in _KINDS.values()}
_READERS: dict[str, Callable[[Any, Any], e.HistoryEvent]] = {
    kind: _object_reader(_CONVERTER, cls) for kind, cls in _KINDS.items()
}
