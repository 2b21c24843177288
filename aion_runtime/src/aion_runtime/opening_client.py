"""Opening a client: another process's way to an engine that has a store open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import timedelta
from types import ModuleType
from typing import Any

from aion_core.authoring.workflows import Workflow
from aion_core.contracts import EventStore
from aion_core.errors import ConfigError
from aion_core.plugins import PluginManager
from aion_core.policies import seconds
from aion_runtime.assembling import Choices, assemble_client, store_url
from aion_runtime.client import Client
from aion_runtime.client_port import ClientPort
from aion_runtime.clock import Clock, SystemClock

__all__ = ["open_client"]


def open_client(
    store: str | EventStore | None = None,
    *,
    workflows: Iterable[Workflow[..., Any] | ModuleType] = (),
    plugins: PluginManager | None = None,
    answer_timeout: float | timedelta = 30.0,
    clock: Clock | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
) -> AbstractAsyncContextManager[Client]:
    """Ask, from another process, the engine that has a store open; for an ``async with``.

    It runs no workflow and takes nothing from the engine. There need not be one yet: what is asked
    for is kept, and done when one comes. Reading needs none: lists, histories, results of runs that
    have ended, and events.

    Args:
        store: the engine's, by URL, or the configured one when not given; in the engine's own
            process also the open store itself.
        workflows: definitions by which results are decoded; without its definition a result is as
            JSON has it.
        plugins: where stores and codecs are found; the installed plugins when not given.
        answer_timeout: seconds that the engine has to take a request; then `NoAnswerError`. For
            the end of a run or of an update one waits without limit.
        clock: another time than the machine's, for tests.
        settings: tables by the names of the plugins that get them.

    Raises:
        ConfigError: no store is named, or it is one that other processes cannot reach.
        PluginError: a plugin cannot be loaded, or fails.
        StoreUnavailableError: the store cannot be opened.
        ValueError: the timeout is no duration.
    """
    choices = Choices(
        store=store if isinstance(store, str) else None,
        workflows=tuple(workflows),
        plugins=plugins,
        settings=settings,
    )
    given = store if isinstance(store, EventStore) else None
    return _opened_client(given, choices, seconds(answer_timeout), clock or SystemClock())


@asynccontextmanager
async def _opened_client(
    store: EventStore | None, choices: Choices, answer_timeout: float, clock: Clock
) -> AsyncIterator[Client]:
    parts = assemble_client(choices)
    opened: AbstractAsyncContextManager[EventStore]
    if store is not None:
        opened = nullcontext(store)
    else:
        opened = parts.plugins.open_store(store_url(parts.configuration))
    async with opened as reached:
        if store is None and not reached.capabilities.multi_process:
            raise ConfigError(
                f"the store {store_url(parts.configuration)!r} is of one process, so no engine "
                "answers there; name the file that the engine has, or give open_client the open "
                "store itself in the engine's process"
            )
        port = ClientPort(reached, clock, answer_timeout)
        try:
            yield Client(reached, parts.catalog, parts.converter, port, clock)
        finally:
            port.close()
