"""JSON text, strictly and fast: one value to a text, no NaN, nothing before or after."""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Callable
from typing import Any

__all__ = ["quote_json", "read_json", "scan_json", "write_json"]


def read_json(text: str) -> Any:
    """The value a text stands for.

    Raises:
        ValueError: it is no JSON, or has NaN or an infinity, which JSON does not know.
        RecursionError: it is nested too deeply.
    """
    try:
        value, end = scan_json(text, 0)
        if end == len(text):
            return value
    except StopIteration:
        pass
    # White space around the value, which we do not write, or something that is no JSON.
    return _DECODER.decode(text)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _make_writer() -> Callable[[Any], str]:
    """`json.JSONEncoder.encode` builds its C encoder anew for each value, at 1 µs; this, once."""
    encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    try:
        write = make(None, encoder.default, quote_json, None, ":", ",", False, False, False)
    except TypeError:
        # Another Python, without the accelerator or with another one.
        return encoder.encode
    return lambda value: "".join(write(value, 0))


_DECODER = json.JSONDecoder(parse_constant=_refuse)
scan_json: Callable[[str, int], tuple[Any, int]] = _DECODER.scan_once  # type: ignore[attr-defined]  # the C part of raw_decode
"""The value that begins at a place of a text, and where it ends; StopIteration if none does."""
quote_json: Callable[[str], str] = json.encoder.encode_basestring
"""A text as JSON text."""
write_json = _make_writer()
"""Compact JSON text of plain values; raises ValueError for NaN, TypeError for what is not plain."""
