"""The engine, as its callers see it. Got from `aion_runtime.opening.open_engine`."""

from __future__ import annotations

from collections.abc import Callable

from aion_core.contracts import EventStore
from aion_core.payloads import PayloadConverter
from aion_runtime.catalog import WorkflowCatalog
from aion_runtime.client import Client
from aion_runtime.clock import Clock
from aion_runtime.dispatcher import Dispatcher
from aion_runtime.engine_port import EnginePort
from aion_runtime.recovery.startup import StartupReport
from aion_runtime.resting import Rest

__all__ = ["Engine"]


class Engine(Client):
    """A client that runs workflows itself.

    Attributes:
        recovery_report: what was found when the store was opened.
    """

    recovery_report: StartupReport
    _rest: Rest
    _hurry: Callable[[], None]

    def __init__(
        self,
        store: EventStore,
        catalog: WorkflowCatalog,
        converter: PayloadConverter,
        port: EnginePort,
        dispatcher: Dispatcher,
        clock: Clock,
    ) -> None:
        super().__init__(store, catalog, converter, port, clock)
        self._own_port = port
        self._dispatcher = dispatcher

    def _stop_accepting(self) -> None:
        """From now on every call that would change something is refused."""
        self._own_port.stop_accepting()

    def _close(self) -> None:
        """From now on every call is refused: the store is about to be closed."""
        self._own_port.close()
