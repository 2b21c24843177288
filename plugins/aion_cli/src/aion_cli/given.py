"""What is given on the command line as JSON, or as names with values."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:  # older versions of click cannot be asked for the type of the value
    ParamType = click.ParamType

__all__ = ["JsonText", "arguments_of", "attributes_of"]


class JsonText(ParamType):
    """JSON: the text itself, ``-`` for stdin, ``@FILE`` for what is in a file."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value that the text stands for.

        Raises:
            click.BadParameter: it is no JSON, or the file cannot be read.
        """
        text, place = self._read(str(value), param, ctx)
        try:
            return json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            self.fail(f"{place} is no JSON: {error}; texts need double quotes", param, ctx)

    def _read(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        try:
            if value == "-":
                return sys.stdin.read(), "stdin"
            if value.startswith("@"):
                return Path(value[1:]).read_text(encoding="utf-8"), value[1:]
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            self.fail(f"{value.removeprefix('@')} cannot be read: {reason}", param, ctx)
        return value, repr(value)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def arguments_of(given: object) -> dict[str, object]:
    """The arguments of a workflow.

    Raises:
        click.UsageError: they are no object.
    """
    if not isinstance(given, dict):
        raise click.UsageError(
            f"--input is {_kind_of(given)}; give a JSON object with the workflow's parameters by "
            'name, such as \'{"order": "order-7"}\''
        )
    return given


def attributes_of(given: Sequence[str]) -> dict[str, Any]:
    """Attributes by name.

    Raises:
        click.UsageError: one is not NAME=VALUE.
    """
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--attribute {text!r} is not NAME=VALUE")
        found[name] = _attribute(value)
    return found


def _attribute(text: str) -> object:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text
    return tuple(value) if isinstance(value, list) else value


def _kind_of(value: object) -> str:
    names: dict[type, str] = {list: "a list", str: "a text", bool: "a truth value"}
    return "null" if value is None else names.get(type(value), "a number")
