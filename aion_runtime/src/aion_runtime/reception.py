"""Reception: what an engine has against a request, before its run is asked.

For whoever sends it, in the engine's process or elsewhere.
"""

from __future__ import annotations

import difflib
import inspect
from typing import Any

import attrs

from aion_core.authoring.accepting import Accepts
from aion_core.contracts import EventStore
from aion_core.errors import PayloadError, WorkflowNotFoundError, WorkflowUsageError
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import Arrival, SignalSentToRun, StartRequest, UpdateSentToRun
from aion_core.payloads import PayloadConverter
from aion_core.suggestions import did_you_mean
from aion_runtime.catalog import WorkflowCatalog

__all__ = ["Reception"]


class Reception:
    """Looks at requests; records nothing."""

    def __init__(
        self, store: EventStore, catalog: WorkflowCatalog, converter: PayloadConverter
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._converter = converter

    async def checked(self, workflow_id: WorkflowId, arrival: Arrival) -> Arrival:
        """The arrival as it is to be handed on.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            WorkflowUsageError: the workflow said that it does not take this.
            UnknownWorkflowTypeError: the engine was not given what is to be started.
            PayloadError: what is sent does not fit the type that the workflow knows.
        """
        match arrival:
            case SignalSentToRun():
                await self._check_signal(workflow_id, arrival)
            case UpdateSentToRun():
                _, accepted = await self._accepted(workflow_id)
                if accepted is not None and arrival.name in accepted.updates:
                    accepted.updates[arrival.name].decode(arrival.arg, self._converter)
            case StartRequest():
                return self._whole_start(arrival)
        return arrival

    def _whole_start(self, request: StartRequest) -> StartRequest:
        """A start whose sender may know other code, or none, written as this code would."""
        definition = self._catalog(request.workflow_type)
        signature = definition.signature
        named = self._converter.decode(request.input, dict[str, Any])
        known = inspect.signature(definition.fn).parameters
        for name in named:
            if name not in known:
                takes = ", ".join(known) or "none"
                raise PayloadError(
                    f"$.{name}: workflow {definition.name!r} has no such parameter; "
                    + did_you_mean(name, known, otherwise=f"it has: {takes}")
                )
        values = signature.decode_arguments(request.input, self._converter)
        return attrs.evolve(request, input=signature.encode_arguments((), values, self._converter))

    async def _check_signal(self, workflow_id: WorkflowId, arrival: SignalSentToRun) -> None:
        summary, accepted = await self._accepted(workflow_id)
        if accepted is None:
            return
        accepts = accepted.signals
        if arrival.name not in accepts:
            near = difflib.get_close_matches(arrival.name, accepts, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise WorkflowUsageError(
                f"workflow {summary.workflow_type!r} does not accept a signal {arrival.name!r}"
                f" (it accepts: {', '.join(accepts) or 'none'}){hint}"
            )
        # The sender may know another type by that name.
        accepts[arrival.name].decode(arrival.payload, self._converter)

    async def _accepted(self, workflow_id: WorkflowId) -> tuple[WorkflowSummary, Accepts | None]:
        summary = await self._store.read_summary(workflow_id)
        if summary is None:
            raise WorkflowNotFoundError(workflow_id)
        if summary.workflow_type not in self._catalog:
            return summary, None
        return summary, self._catalog(summary.workflow_type).accepts
