"""The default seam: an open run goes on by the code that the catalog has for its version."""

from __future__ import annotations

from collections.abc import Sequence

from aion_core import events as e
from aion_core.contracts import (
    ActiveWorkflowRecoverySeam,
    Resident,
    ScheduleCoordinator,
    SeamContext,
    VersionedCatalog,
)
from aion_core.errors import HistoryShapeError, PayloadError
from aion_core.ids import PackageVersion, WorkflowId
from aion_runtime.versions import parse_version

__all__ = ["CatalogSeam", "last_start", "recorded_version"]

_VERSIONED = frozenset((e.WorkflowStarted, e.WorkflowVersionAdopted))


class CatalogSeam(ActiveWorkflowRecoverySeam):
    """Asks the catalog, after a look at what the history says of itself."""

    def __init__(self, context: SeamContext) -> None:
        self._converter = context.converter

    def recover_active_workflow(
        self,
        workflow_id: WorkflowId,
        workflow_type: str,
        history: Sequence[e.HistoryEvent],
        catalog: VersionedCatalog,
    ) -> Resident | ScheduleCoordinator:
        """Check, in this order, each of which is an error of its own: that there is a start, that
        it is of the expected type, that its version can be read, that the code is there, and that
        the code takes the recorded input.

        Raises:
            HistoryShapeError: it does not start, is of another type, or its version is none.
            UnknownWorkflowTypeError: the catalog does not have the type.
            VersionNotLoadedError: the catalog has another version, and the policy is strict.
            PayloadError: the recorded input does not fit the code.
        """
        started = last_start(workflow_id, history)
        if started.workflow_type != workflow_type:
            raise HistoryShapeError(
                f"workflow {workflow_id!r} is of type {started.workflow_type!r} by its history, "
                f"but is listed as {workflow_type!r}; check the store"
            )
        version = recorded_version(history)
        try:
            parse_version(version)
        except ValueError as error:
            raise HistoryShapeError(f"workflow {workflow_id!r} cannot go on: {error}") from error
        resolved = catalog.resolve(workflow_type, version)
        try:
            resolved.definition.begin(started.input, self._converter).close()
        except PayloadError as error:
            raise PayloadError(
                f"the recorded input of workflow {workflow_id!r} does not fit the loaded code of "
                f"{workflow_type!r}: {error}"
            ) from error
        return Resident(
            run_id=started.run_id,
            loaded_version=PackageVersion(resolved.loaded_version),
            pid=f"{workflow_id}/{started.run_id}",
        )


def recorded_version(history: Sequence[e.HistoryEvent]) -> PackageVersion:
    """The version by which the newest run goes, as far as it is recorded."""
    for event in reversed(history):
        # The type first: histories are long, and most events are something else.
        if type(event) in _VERSIONED and isinstance(
            event, e.WorkflowStarted | e.WorkflowVersionAdopted
        ):
            return event.package_version
    return e.UNVERSIONED


def last_start(workflow_id: WorkflowId, history: Sequence[e.HistoryEvent]) -> e.WorkflowStarted:
    """The start of the newest run. Raises `HistoryShapeError`: there is none."""
    for event in reversed(history):
        if isinstance(event, e.WorkflowStarted):
            return event
    raise HistoryShapeError(
        f"workflow {workflow_id!r} has no WorkflowStarted in its history; check the store"
    )
