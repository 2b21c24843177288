"""Exit codes of every command, in one place: scripts rely on them."""

from __future__ import annotations

import enum

from aion_core import errors

__all__ = ["ExitCode", "code_of"]


class ExitCode(enum.IntEnum):
    """What a command's exit code says. Ended by signal *n* it is 128 + *n*, as in a shell."""

    OK = 0
    CHECK_FAILED = 1
    USAGE = 2
    ERROR = 3
    NOT_FOUND = 4
    FAILED = 5
    NO_ANSWER = 6
    REFUSED = 7


_CODES: dict[type[BaseException], ExitCode] = {
    errors.ActivityNotFoundError: ExitCode.NOT_FOUND,
    errors.ActivityNotHeldError: ExitCode.REFUSED,
    errors.WorkflowNotFoundError: ExitCode.NOT_FOUND,
    errors.UnknownWorkflowTypeError: ExitCode.NOT_FOUND,
    errors.WorkflowFailedError: ExitCode.FAILED,
    errors.UpdateFailedError: ExitCode.FAILED,
    errors.NoAnswerError: ExitCode.NO_ANSWER,
    errors.InvalidIdError: ExitCode.USAGE,
    errors.PayloadError: ExitCode.REFUSED,
    errors.QueryError: ExitCode.REFUSED,
    errors.UpdateRejectedError: ExitCode.REFUSED,
    errors.WorkflowAlreadyStartedError: ExitCode.REFUSED,
    errors.WorkflowClosedError: ExitCode.REFUSED,
    errors.WorkflowStuckError: ExitCode.REFUSED,
    errors.WorkflowUsageError: ExitCode.REFUSED,
}


def code_of(error: BaseException) -> ExitCode:
    """The exit code of a command that ends by an error of Aion or of the operating system."""
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    return ExitCode.ERROR
