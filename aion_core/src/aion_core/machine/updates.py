"""Updates of a run: requests that change its state and get an answer."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import (
    AionError,
    HistoryShapeError,
    PayloadError,
    UpdateRejectedError,
    WorkflowClosedError,
)
from aion_core.failures import Failure, failure_from
from aion_core.ids import TaskPath, WorkflowId
from aion_core.machine.ending import is_only_cancelled
from aion_core.payloads import Payload
from aion_core.suggestions import did_you_mean

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment
    from aion_core.machine.kernel import Kernel

__all__ = ["Updates", "unanswered"]


def unanswered(workflow_id: WorkflowId, status: str) -> WorkflowClosedError:
    """What who waits for an update is told when its run ends first, with a status."""
    return WorkflowClosedError(workflow_id, status, "the update has no answer")


@attrs.frozen
class _Handler:
    fn: Callable[[Any], Any]
    validator: Callable[[Any], object] | None
    decode: Callable[[Payload], Any]
    encode: Callable[[object], Payload]
    context: contextvars.Context


class Updates:
    """The handlers of a run, and the updates that they are at work on."""

    __slots__ = ("_accepted", "_at_work", "_environment", "_handlers")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._handlers: dict[str, _Handler] = {}
        self._accepted = 0
        self._at_work: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._at_work)

    def handle(
        self,
        name: str,
        fn: Callable[[Any], Any],
        validator: Callable[[Any], object] | None,
        decode: Callable[[Payload], Any],
        encode: Callable[[object], Payload],
    ) -> None:
        """Have updates of a name handled, from now on."""
        self._environment.check_may_change("a handler of an update")
        context = contextvars.copy_context()
        self._handlers[name] = _Handler(fn, validator, decode, encode, context)

    def refusal_of(self, name: str, arg: Payload) -> AionError | None:
        """Why an update cannot be accepted now; None when it can. The validator asks for nothing.

        What it raises is the reason.
        """
        handler = self._handlers.get(name)
        if handler is None:
            return UpdateRejectedError(
                f"workflow {self._environment.workflow_id!r} handles no update {name!r}; "
                + did_you_mean(name, self._handlers, otherwise="nothing was recorded")
            )
        try:
            value = handler.decode(arg)
        except PayloadError as error:
            return error
        if handler.validator is None:
            return None
        try:
            with self._environment.refusing(f"the validator of update {name!r}"):
                answer = handler.context.copy().run(handler.validator, value)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever it does, the run and the engine go on
            return _rejection(name, error)
        if inspect.iscoroutine(answer):
            answer.close()
            return UpdateRejectedError(
                f"the validator of update {name!r} is async; make it a plain function"
            )
        return None

    def accept(self, event: e.UpdateAccepted, kernel: Kernel) -> None:
        """Apply an arrival: its handler begins, as a task of its own."""
        handler = self._handlers.get(event.name)
        if handler is None:
            raise HistoryShapeError(
                f"update {event.update_id!r} ({event.name}) was accepted, but the code has no "
                "handler for it"
            )
        path = TaskPath(f"u{self._accepted}")
        self._accepted += 1
        self._at_work[event.update_id] = None
        kernel.spawn_handler(
            _handle(handler, event.arg),
            path,
            handler.context.copy(),
            partial(self._ended, event.update_id, handler),
        )

    def _ended(
        self,
        update_id: str,
        handler: _Handler,
        value: object,
        error: BaseException | None,
    ) -> None:
        del self._at_work[update_id]
        if error is None:
            try:
                result = handler.encode(value)
            except Exception as unstorable:
                error = unstorable
            else:
                self._environment.issue(c.CompleteUpdate(update_id, result))
                return
        failure = self._cancelled() if is_only_cancelled(error) else None
        command = c.FailUpdate(update_id, failure or failure_from(error))
        self._environment.issue(command, error=error)

    def _cancelled(self) -> Failure | None:
        """Why a handler was cancelled by others; None when nobody has cancelled them all."""
        environment = self._environment
        if environment.ends_as is not None:
            return failure_from(unanswered(environment.workflow_id, environment.ends_as))
        if environment.cancel_reason is not None:
            message = f"its workflow was asked to stop: {environment.cancel_reason}"
            return Failure(type="Cancelled", message=message, kind="cancelled")
        return None


async def _handle(handler: _Handler, arg: Payload) -> object:
    answer = handler.fn(handler.decode(arg))
    return await answer if inspect.isawaitable(answer) else answer


def _rejection(name: str, error: BaseException) -> UpdateRejectedError:
    rejection = UpdateRejectedError(
        f"update {name!r} was rejected: {type(error).__name__}: {error}"
    )
    rejection.__cause__ = error
    return rejection
