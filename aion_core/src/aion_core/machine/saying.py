"""What workflow code says: log lines, held until what it did is recorded. No logging here."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["LOGGER_NAME", "LogLine"]

LOGGER_NAME = "aion.workflow"
"""The logger that lines of workflow code go to."""


@attrs.frozen(kw_only=True)
class LogLine:
    """One line, as it is to be logged.

    Attributes:
        level: as `logging` numbers them.
        message: with its arguments put in, when the code said it.
        error: the traceback that goes with it, formatted; None without one.
        extra: more fields of the record.
        file: where the code said it.
        line: in that file.
        function: the name of the function there.
    """

    level: int
    message: str
    error: str | None = None
    extra: Mapping[str, object] = attrs.Factory(dict)
    file: str = ""
    line: int = 0
    function: str = ""
