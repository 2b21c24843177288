"""The workflow machine: one activation per arrival, from an arrival to the commands it caused."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import HistoryShapeError, NonDeterminismError
from aion_core.failures import failure_from
from aion_core.ids import ROOT_PATH
from aion_core.machine.environment import Environment
from aion_core.machine.kernel import Kernel
from aion_core.payloads import Payload, PayloadConverter
from aion_core.replay.matching import describe, intent_of, same_intent

__all__ = ["ActivationGuard", "Catalog", "WorkflowDefinition", "WorkflowMachine"]

ActivationGuard = Callable[[], AbstractContextManager[None]]
"""Entered for the length of each activation; the shell keeps the host's primitives out of it."""


class WorkflowDefinition(Protocol):
    """What the machine needs of a workflow."""

    @property
    def name(self) -> str:
        """The workflow type."""

    def begin(self, input: Payload, converter: PayloadConverter) -> Any:
        """The coroutine of a run with this input. Raises `PayloadError`."""

    def encode_result(self, value: object, converter: PayloadConverter) -> Payload:
        """Store what the coroutine returned. Raises `PayloadError`."""


Catalog = Callable[[str], WorkflowDefinition]
"""Finds the definition of a workflow type. Raises `UnknownWorkflowTypeError`."""


class WorkflowMachine:
    """Runs the code of one workflow run.

    It holds coroutines, which cannot be copied: a machine that ran ahead of the disk is thrown
    away (`close`) and another one made from history (`replay`).
    """

    def __init__(
        self,
        started: e.WorkflowStarted,
        definition: WorkflowDefinition,
        converter: PayloadConverter,
        guard: ActivationGuard,
    ) -> None:
        self._definition = definition
        self._guard = guard
        self._started = started
        self.environment = Environment(
            started.workflow_id, started.run_id, started.recorded_at, converter
        )
        self._kernel = Kernel(self.environment, self._root_ended)
        self._has_begun = False

    def activate(self, arrival: e.HistoryEvent) -> list[c.Command]:
        """Apply one arrival and run the code until it rests; returns the commands it issued."""
        environment = self.environment
        environment.now = arrival.recorded_at
        with self._guard():
            match arrival:
                case e.WorkflowStarted():
                    self._begin(arrival)
                case e.TimerFired():
                    environment.fire_timer(arrival)
                case e.SignalReceived():
                    environment.deliver_signal(arrival)
                case e.ActivityCompleted() | e.ActivityFailed() | e.ActivityCancelled():
                    environment.settle_activity(arrival)
                case _:
                    raise HistoryShapeError(f"{describe(arrival)} is not an arrival")
            self._kernel.run_until_rest()
        return environment.take_commands()

    def replay(self, history: Sequence[e.HistoryEvent]) -> list[c.Command]:
        """Bring a new machine to the end of a history.

        Returns:
            Commands that the code issues beyond the last event: it has grown since.

        Raises:
            NonDeterminismError: the code asks for something else than history holds.
        """
        pending: list[e.HistoryEvent] = []
        ahead: list[c.Command] = []
        for event in history:
            if e.is_arrival(event):
                if pending:
                    raise self._diverged(event, describe(event), describe(pending[0]))
                ahead = self.activate(event)
                pending = [
                    intent_of(command, event.seq, event.recorded_at, event.workflow_id)
                    for command in ahead
                ]
            elif e.is_intent(event):
                if not pending:
                    raise self._diverged(event, describe(event), "nothing more in this step")
                if not same_intent(pending[0], event):
                    raise self._diverged(event, describe(event), describe(pending[0]))
                del pending[0]
        return ahead[len(ahead) - len(pending) :]

    def close(self) -> None:
        """Throw the code away; whatever its clean-up asks for is ignored."""
        with self._guard():
            self._kernel.close()

    def _begin(self, started: e.WorkflowStarted) -> None:
        if self._has_begun:
            raise HistoryShapeError(f"event {started.seq} starts a run that has been started")
        self._has_begun = True
        try:
            coroutine = self._definition.begin(started.input, self.environment.converter)
        except Exception as error:
            self._root_ended(None, error)
            return
        self._kernel.spawn(coroutine, ROOT_PATH, None, contextvars.Context())

    def _root_ended(self, value: object, error: BaseException | None) -> None:
        if error is None:
            try:
                result = self._definition.encode_result(value, self.environment.converter)
            except Exception as unstorable:
                error = unstorable
            else:
                self.environment.issue(c.CompleteWorkflow(result))
                return
        self.environment.issue(c.FailWorkflow(failure_from(error)))

    def _diverged(self, event: e.HistoryEvent, expected: str, found: str) -> NonDeterminismError:
        return NonDeterminismError(event.workflow_id, event.seq, expected, found)
