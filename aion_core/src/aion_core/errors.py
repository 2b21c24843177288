"""The tree of errors. The class says who must act; facts are attributes; the text is one sentence.

Groups: errors of a workflow's author, of a caller, of an operator. No error is raised from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from aion_core.failures import Failure

__all__ = [
    "ActivityError",
    "ActivityNotFoundError",
    "ActivityNotHeldError",
    "AionError",
    "ApplicationError",
    "BrokenResourceError",
    "Cancelled",
    "ChildWorkflowError",
    "ClosedResourceError",
    "ConfigError",
    "CorruptHistoryError",
    "EndOfChannel",
    "EngineStoppedError",
    "FencedError",
    "HistoryShapeError",
    "InvalidIdError",
    "Lagged",
    "MessageGoneError",
    "NoAnswerError",
    "NonDeterminismError",
    "NotInWorkflowError",
    "PayloadError",
    "PluginError",
    "QueryError",
    "ReopenError",
    "SchemaVersionError",
    "SequenceConflictError",
    "SideEffectError",
    "StoreError",
    "StoreUnavailableError",
    "TooSlowError",
    "UnknownWorkflowTypeError",
    "UpdateFailedError",
    "UpdateRejectedError",
    "VersionNotLoadedError",
    "WorkflowAlreadyStartedError",
    "WorkflowClosedError",
    "WorkflowFailedError",
    "WorkflowNotFoundError",
    "WorkflowStuckError",
    "WorkflowUsageError",
    "WouldBlock",
]


class AionError(Exception):
    """Base of every error that Aion raises."""


class Cancelled(BaseException):
    """Raised at a checkpoint inside a cancelled scope of a workflow.

    A ``BaseException``, like trio's, so that ``except Exception`` lets it pass.
    """


class InvalidIdError(AionError, ValueError):
    """A text that cannot be an id; the message names it and the rule."""


class PayloadError(AionError):
    """A value that cannot be stored, or stored data that does not fit its annotation."""


class NotInWorkflowError(AionError, RuntimeError):
    """A workflow, or a primitive of workflows, was used where no workflow runs."""


class WorkflowUsageError(AionError, RuntimeError):
    """Workflow code did something that cannot be made durable."""


class TooSlowError(AionError):
    """Raised by ``fail_after`` when its time is over."""


class WouldBlock(AionError):
    """What was asked for cannot be done without waiting."""


class ClosedResourceError(AionError):
    """A channel was used after it had been closed by its own side."""


class BrokenResourceError(AionError):
    """Nobody is left on the other side: no receiver takes this, or a lock's owner has ended."""


class EndOfChannel(AionError):
    """Every sender is closed, and all that they sent has been received."""


class HistoryShapeError(AionError):
    """A history that no engine could have written: no start, a gap, an event out of place."""


class NonDeterminismError(AionError):
    """The code asked for something else than history holds.

    Attributes:
        workflow_id: the workflow whose replay diverged.
        seq: where in the history.
        expected: what history holds there.
        found: what the code asked for.
        last_common: the last event on which the two agreed, in words; None at the start.
        file: where the code asked for it; None when that is not known.
        line: the line in that file.
    """

    def __init__(
        self,
        workflow_id: str,
        seq: int,
        expected: str,
        found: str,
        *,
        last_common: str | None = None,
        file: str | None = None,
        line: int | None = None,
    ) -> None:
        place = "" if file is None else f" ({file}, line {line})"
        common = "" if last_common is None else f"; the last point in common is {last_common}"
        super().__init__(
            f"workflow {workflow_id!r} no longer fits its history: at event {seq} history holds "
            f"{expected}, but the code asked for {found}{place}{common}; restore the former code, "
            "or start new runs under a new name"
        )
        self.workflow_id = workflow_id
        self.seq = seq
        self.expected = expected
        self.found = found
        self.last_common = last_common
        self.file = file
        self.line = line


class ApplicationError(AionError):
    """An error that user code raises on purpose.

    Args:
        message: what went wrong.
        type: a stable name for programs to compare; the class name when not given.
        details: more about it, as JSON has it: texts, numbers, lists, dicts with text keys.
        non_retryable: raised in an activity, it ends its attempts at once.
    """

    def __init__(
        self,
        message: str,
        *,
        type: str | None = None,
        details: object = None,
        non_retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.type = type
        self.details = details
        self.non_retryable = non_retryable


class ActivityError(AionError):
    """What a workflow sees of an activity that failed for good.

    Attributes:
        activity_id: which call.
        activity_type: the name of the activity.
        kind: ``terminal``, ``timeout``, ``crashed`` or ``cancelled``.
        type: type name of the exception that the last attempt raised.
        message: its message.
        details: what an `ApplicationError` said besides.
        failure: all of it, with the chain of causes.
    """

    def __init__(
        self, activity_id: str, activity_type: str, attempt: int, failure: Failure
    ) -> None:
        super().__init__(
            f"activity {activity_type!r} ({activity_id}) failed at attempt {attempt}: "
            f"{failure.type}: {failure.message}"
        )
        self.activity_id = activity_id
        self.activity_type = activity_type
        self.attempt = attempt
        self.kind = failure.kind
        self.type = failure.type
        self.message = failure.message
        self.details = failure.plain_details()
        self.failure = failure


class ChildWorkflowError(AionError):
    """What a workflow sees of a child that failed.

    Attributes:
        child_workflow_id: which child.
        workflow_type: the name of its workflow.
        failure: why, with the chain of causes.
    """

    def __init__(self, child_workflow_id: str, workflow_type: str, failure: Failure) -> None:
        super().__init__(
            f"child workflow {child_workflow_id!r} ({workflow_type}) failed: "
            f"{failure.type}: {failure.message}"
        )
        self.child_workflow_id = child_workflow_id
        self.workflow_type = workflow_type
        self.failure = failure


class SideEffectError(AionError):
    """What a workflow sees of a side effect that raised; the same whenever it is replayed.

    Attributes:
        type: type name of the exception.
        message: its message.
        details: what an `ApplicationError` said besides.
        failure: all of it, with the chain of causes.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"a side effect failed: {failure.type}: {failure.message}")
        self.type = failure.type
        self.message = failure.message
        self.details = failure.plain_details()
        self.failure = failure


class WorkflowNotFoundError(AionError, LookupError):
    """No workflow has this id."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(f"no workflow has the id {workflow_id!r}; check it against list_runs()")
        self.workflow_id = workflow_id


class WorkflowAlreadyStartedError(AionError):
    """The id belongs to a workflow of another type, or with another input."""

    def __init__(self, workflow_id: str, difference: str) -> None:
        super().__init__(
            f"workflow {workflow_id!r} was already started {difference}; choose another id"
        )
        self.workflow_id = workflow_id


class WorkflowClosedError(AionError):
    """The workflow has ended and takes nothing more."""

    def __init__(
        self, workflow_id: str, status: str, consequence: str = "nothing was delivered"
    ) -> None:
        super().__init__(f"workflow {workflow_id!r} is closed ({status}); {consequence}")
        self.workflow_id = workflow_id
        self.status = status


class ActivityNotFoundError(AionError, LookupError):
    """The run has no open activity with this id; the message names those that it has.

    Attributes:
        activity_id: which was asked for.
    """

    def __init__(self, workflow_id: str, activity_id: str, open_ids: Iterable[str]) -> None:
        known = ", ".join(open_ids) or "none"
        super().__init__(
            f"workflow {workflow_id!r} has no open activity {activity_id!r}; open are: {known}"
        )
        self.workflow_id = workflow_id
        self.activity_id = activity_id


class ActivityNotHeldError(AionError):
    """The activity cannot be tried again now, because it waits for no retry.

    Attributes:
        activity_id: which was asked for; None for any of the run.
        why: what it does instead.
    """

    def __init__(self, workflow_id: str, activity_id: str | None, why: str) -> None:
        which = "no activity" if activity_id is None else f"not activity {activity_id!r}"
        super().__init__(f"{which} of workflow {workflow_id!r} can be tried again now: {why}")
        self.workflow_id = workflow_id
        self.activity_id = activity_id
        self.why = why


class WorkflowFailedError(AionError):
    """Raised by ``result()`` of a workflow that failed.

    Attributes:
        workflow_id: which workflow.
        failure: why, with the chain of causes.
    """

    def __init__(self, workflow_id: str, failure: Failure) -> None:
        super().__init__(f"workflow {workflow_id!r} failed: {failure.type}: {failure.message}")
        self.workflow_id = workflow_id
        self.failure = failure


class WorkflowStuckError(AionError):
    """The run is open, but this engine cannot move it; the reason says why and what to do.

    Nothing is lost: the run goes on as soon as an engine with fitting code opens the store.
    """

    def __init__(self, workflow_id: str, reason: str) -> None:
        super().__init__(f"workflow {workflow_id!r} cannot go on in this engine: {reason}")
        self.workflow_id = workflow_id
        self.reason = reason


class UnknownWorkflowTypeError(AionError):
    """No definition of this workflow type was given to the engine."""

    def __init__(self, workflow_type: str, known: tuple[str, ...]) -> None:
        from aion_core.suggestions import nearest  # late: whoever looks up no name needs no difflib

        names = ", ".join(known) or "none"
        close = nearest(workflow_type, known)
        meant = "" if close is None else f"did you mean {close!r}? else "
        super().__init__(
            f"this engine has no workflow {workflow_type!r} (it has: {names}); "
            f"{meant}add its definition to open_engine(workflows=[...])"
        )
        self.workflow_type = workflow_type


class VersionNotLoadedError(AionError):
    """The run was begun by another version of its code, and the policy is strict."""

    def __init__(self, workflow_type: str, wanted: str, loaded: str) -> None:
        super().__init__(
            f"workflow {workflow_type!r} was begun by version {wanted}, but version {loaded} is "
            "loaded; run the former code, or open the engine with on_version_mismatch='replay'"
        )
        self.workflow_type = workflow_type
        self.wanted = wanted
        self.loaded = loaded


class QueryError(AionError):
    """A query has no answer: the workflow does not know it, or its answer failed."""


class UpdateRejectedError(AionError):
    """A workflow refused an update; nothing was recorded."""


class UpdateFailedError(AionError):
    """The handler of an update raised; what it did before that stands.

    Attributes:
        workflow_id: which workflow.
        update: the name of the update.
        failure: why, with the chain of causes.
    """

    def __init__(self, workflow_id: str, update: str, failure: Failure) -> None:
        super().__init__(
            f"update {update!r} of workflow {workflow_id!r} failed: "
            f"{failure.type}: {failure.message}"
        )
        self.workflow_id = workflow_id
        self.update = update
        self.failure = failure


class ReopenError(AionError):
    """A run cannot be reopened as asked; the message names what stands against it."""


class EngineStoppedError(AionError):
    """The engine is stopping or has stopped; the call had no effect that history does not show."""


class NoAnswerError(AionError):
    """No engine has answered a client in time. What was asked is kept, and done when one does.

    Attributes:
        workflow_id: of which workflow something was asked.
        seconds: how long the client has waited.
        begins_at: the workflow has not begun, and does so then, or later if a limit lets it wait;
            None where that is not why.
    """

    def __init__(
        self, what: str, workflow_id: str, seconds: float, begins_at: datetime | None = None
    ) -> None:
        if begins_at is None:
            message = (
                f"no engine has taken {what} of workflow {workflow_id!r} within {seconds:g} s; it "
                "is kept in the store, so run an engine on that store with this workflow's code"
            )
        else:
            message = (
                f"workflow {workflow_id!r} has not begun, so {what} was not taken within "
                f"{seconds:g} s; it is kept in the store until the workflow begins, not before "
                f"{begins_at:%Y-%m-%d %H:%M:%S} UTC, so ask for its answer after that under the "
                "same id"
            )
        super().__init__(message)
        self.workflow_id = workflow_id
        self.seconds = seconds
        self.begins_at = begins_at


class Lagged(AionError):
    """A reader of events has fallen behind, and some that it should have had are gone.

    Attributes:
        skipped: how many.
        position: where it goes on, ``events(after=position)``.
    """

    def __init__(self, skipped: int, position: int) -> None:
        super().__init__(
            f"{skipped} events are not to be had any more; go on with events(after={position})"
        )
        self.skipped = skipped
        self.position = position


class StoreError(AionError):
    """Base of what a store reports. Raised bare: the append was refused and left nothing."""


class SequenceConflictError(StoreError):
    """Somebody else wrote to this workflow: its last event is not the expected one."""

    def __init__(self, workflow_id: str, expected: int, found: int) -> None:
        super().__init__(
            f"workflow {workflow_id!r} ends at event {found}, not at {expected}; "
            "read its history again before writing"
        )
        self.workflow_id = workflow_id
        self.expected = expected
        self.found = found


class MessageGoneError(StoreError):
    """A message that an append consumes is not there any more: somebody has consumed it."""

    def __init__(self, workflow_id: str, message_id: str) -> None:
        super().__init__(
            f"message {message_id!r} to workflow {workflow_id!r} has been consumed already; "
            "read the workflow's history before writing"
        )
        self.workflow_id = workflow_id
        self.message_id = message_id


class FencedError(StoreError):
    """Another writer took this store over; this one may never write again."""


class StoreUnavailableError(StoreError):
    """The store cannot be opened or written now; the message says why and what to do."""


class CorruptHistoryError(StoreError):
    """Stored data that cannot be read back.

    Attributes:
        workflow_id: whose history.
        seq: which event.
        path: where in the event, ``$.options.retry``.
    """

    def __init__(self, workflow_id: str, seq: int, path: str, reason: str) -> None:
        super().__init__(
            f"event {seq} of workflow {workflow_id!r} cannot be read at {path}: {reason}; "
            "restore the store from a back-up"
        )
        self.workflow_id = workflow_id
        self.seq = seq
        self.path = path


class SchemaVersionError(StoreError):
    """The file was written by a newer version of the store."""


class ConfigError(AionError):
    """The configuration names something that is not there; the message says what to do."""


class PluginError(AionError):
    """A plugin cannot be loaded; the message names its distribution and entry point."""
