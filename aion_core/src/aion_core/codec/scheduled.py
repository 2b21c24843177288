"""ActivityScheduled as text. Options are half of it and repeat: each is written and read once."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cattrs

from aion_core.events import ActivityScheduled
from aion_core.json_text import read_json, write_json
from aion_core.policies import ActivityOptions

__all__ = ["ScheduledText"]

_REMEMBER = 512
_KEY = ',"options":'


class ScheduledText:
    """Reads and writes the text of such events, remembering the last few hundred options.

    Args:
        converter: reads and writes options.
        write_rest: the other fields of the event as a dict.
    """

    def __init__(
        self, converter: cattrs.Converter, write_rest: Callable[[Any], dict[str, Any]]
    ) -> None:
        self._converter = converter
        self._write_rest = write_rest
        self._options_of = lru_cache(_REMEMBER)(self._read_options)
        self._text_of = lru_cache(_REMEMBER)(self._write_options)

    def write(self, event: ActivityScheduled) -> str:
        """The event's own fields as JSON, options last."""
        return f"{write_json(self._write_rest(event))[:-1]}{_KEY}{self._text_of(event.options)}}}"

    def read(self, text: str) -> Any:
        """What `read_json` finds, but with the options read.

        A quotation mark inside of a JSON string has a backslash before it, so what is looked for
        here is a key. If the text before it is an object without its end, and that after it a
        value with the end of one, then both together are the object that stands there.
        """
        head, key, options = text.rpartition(_KEY)
        if key and options.endswith("}"):
            try:
                fields = read_json(head + "}")
                fields["options"] = self._options_of(options[:-1])
                return fields
            except Exception:
                # Something is wrong, or stands in another order.
                return read_json(text)
        return read_json(text)

    def _read_options(self, text: str) -> ActivityOptions:
        options: ActivityOptions = self._converter.structure(read_json(text), ActivityOptions)
        return options

    def _write_options(self, options: ActivityOptions) -> str:
        text = write_json(self._converter.unstructure(options))
        # Equal options get this text, too, and to Python a True is equal to a 1.
        self._read_options(text)
        return text
