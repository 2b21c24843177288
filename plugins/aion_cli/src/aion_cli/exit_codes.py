"""Exit codes of every command, in one place: scripts rely on them."""

from __future__ import annotations

import enum

__all__ = ["ExitCode"]


class ExitCode(enum.IntEnum):
    """What a command's exit code says. Ended by signal *n* it is 128 + *n*, as in a shell."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    ERROR = 3
