"""The options in ActivityScheduled. They are half of its text and repeat: each is written and read
once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cattrs

from aion_core.json_text import read_json, scan_json, write_json
from aion_core.policies import ActivityOptions

__all__ = ["OptionsText"]

_REMEMBER = 512
_KEY = ',"options":'


class OptionsText:
    """Reads and writes options, remembering the last few hundred.

    Args:
        converter: reads and writes them.
    """

    def __init__(self, converter: cattrs.Converter) -> None:
        self._converter = converter
        self._options_of = lru_cache(_REMEMBER)(self._read)
        self.text_of = lru_cache(_REMEMBER)(self._write)

    def parse_scheduled(self, text: str) -> dict[str, Any]:
        """The fields that stand in the text of an ActivityScheduled, but with the options read.

        A quotation mark inside of a JSON string has a backslash before it, so what is looked for
        here is a key. If the text before it is an object without its end, and that after it a
        value with the end of one, then both together are the object that stands there.

        Raises:
            TypeError: it is no object.
            ValueError: it is no JSON.
        """
        fields: dict[str, Any]
        head, key, options = text.rpartition(_KEY)
        if key and options[-1:] == "}":
            try:
                head += "}"
                fields, end = scan_json(head, 0)
                if end == len(head):
                    fields["options"] = self._options_of(options[:-1])
                    return fields
            except Exception:
                # Something is wrong, or stands in another order.
                pass
        return _object(text)

    def _read(self, text: str) -> ActivityOptions:
        options: ActivityOptions = self._converter.structure(read_json(text), ActivityOptions)
        return options

    def _write(self, options: ActivityOptions) -> str:
        text = write_json(self._converter.unstructure(options))
        # Equal options get this text, too, and to Python a True is equal to a 1.
        self._read(text)
        return text


def _object(text: str) -> dict[str, Any]:
    fields: dict[str, Any] = read_json(text)
    # A list of the fields' names would pass for an object that has them all.
    if fields.__class__ is dict:
        return fields
    raise TypeError("expected an object")
