"""The store that a command works on: found, opened to be read, and asked for what is near."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aion_core.contracts import EventStore
from aion_core.errors import ConfigError, StoreUnavailableError, WorkflowNotFoundError
from aion_core.payloads import PayloadConverter
from aion_core.plugins import PluginManager
from aion_core.suggestions import nearest
from aion_runtime.assembling import installed_plugins
from aion_runtime.configuration import Configuration, load_configuration

__all__ = ["ChosenStore", "UnknownIdError", "choose_store", "start_is_kept", "unknown_id"]

NEWEST = 1000
"""Of so many workflows the nearest id is suggested."""


class UnknownIdError(WorkflowNotFoundError):
    """No workflow has this id; says which one was probably meant, or that its start waits."""

    def __init__(self, workflow_id: str, near: str | None, *, start_is_kept: bool = False) -> None:
        super().__init__(workflow_id)
        way_out = "see 'aion list'" if near is None else f"did you mean {near!r}?"
        if start_is_kept:
            way_out = "its start is kept in the store, so run an engine with this workflow's code"
        self.args = (f"no workflow has the id {workflow_id!r}; {way_out}",)


class ChosenStore:
    """A store by its URL, and the plugins by which it is read.

    Attributes:
        url: as it was given, or is configured.
        converter: reads the payloads, with the codecs that are configured.
    """

    def __init__(self, url: str, configuration: Configuration) -> None:
        self.url = url
        self.plugins: PluginManager = installed_plugins(configuration)
        settings = configuration.plugin_settings
        self.converter = PayloadConverter(
            self.plugins.payload_codecs(configuration.payload_codecs, settings)
        )
        self.plugins.configure_converter(self.converter)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[EventStore]:
        """Open it, to be read.

        Raises:
            StoreUnavailableError: there is none: reading makes no empty one.
            ConfigError: no installed plugin serves it.
        """
        self.require()
        async with self.plugins.open_store(self.url) as store:
            yield store

    def require(self) -> None:
        """Raise `StoreUnavailableError` if there is nothing at the URL."""
        if self.plugins.store_exists(self.url) is False:
            raise StoreUnavailableError(
                f"there is no store at {self.url!r}; check the URL, or have an engine make it "
                "with 'aion run' or 'aion serve'"
            )


def choose_store(url: str | None) -> ChosenStore:
    """The store that was given, or the configured one.

    Raises:
        ConfigError: neither is there.
        PluginError: a plugin cannot be loaded.
    """
    configuration = load_configuration(arguments={"store": url})
    if configuration.store is None:
        raise ConfigError(
            "no store is named; add --store sqlite:///aion.db, set AION_STORE=sqlite:///aion.db, "
            'or write store = "sqlite:///aion.db" to aion.toml'
        )
    return ChosenStore(configuration.store, configuration)


async def start_is_kept(store: EventStore, workflow_id: str) -> bool:
    """Whether somebody has asked for this workflow, and no engine has taken that yet."""
    found = False
    async for stored in store.all_messages():  # to its end: left early it would not be closed
        found |= stored.message.kind == "start" and stored.message.target == workflow_id
    return found


async def unknown_id(store: EventStore, workflow_id: str) -> UnknownIdError:
    """The error about an id that no workflow has, with the nearest of the newest ones."""
    if await start_is_kept(store, workflow_id):
        return UnknownIdError(workflow_id, None, start_is_kept=True)
    page = await store.list_runs(limit=NEWEST)
    return UnknownIdError(workflow_id, nearest(workflow_id, [run.workflow_id for run in page.runs]))
