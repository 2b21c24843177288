"""Assembling: the parts of an engine, from what was given, configured and installed."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Literal, TypeAlias, TypeVar

import attrs

from aion_core.authoring.resources import Resources
from aion_core.authoring.workflows import Workflow
from aion_core.contracts import (
    ActiveWorkflowRecoverySeam,
    LiveExecutor,
    RecoveryDriver,
    SeamContext,
)
from aion_core.errors import ConfigError
from aion_core.payloads import PayloadConverter
from aion_core.plugins import PluginManager
from aion_runtime.catalog import VersionPolicy, WorkflowCatalog
from aion_runtime.configuration import Configuration, load_configuration
from aion_runtime.guard import Guard
from aion_runtime.observing import Observers

__all__ = [
    "Choices",
    "ClientParts",
    "NonDeterminismPolicy",
    "Parts",
    "assemble",
    "assemble_client",
    "installed_plugins",
    "store_url",
]

NonDeterminismPolicy: TypeAlias = Literal["hold", "fail"]
"""What becomes of a run whose code does not fit its history.

``hold``: it is stuck, and goes on when fitting code is there. ``fail``: it fails, for good.
"""

T = TypeVar("T")

logger = logging.getLogger("aion_runtime")


@attrs.frozen(kw_only=True)
class Choices:
    """What the caller of `open_engine` has chosen; None where the configuration decides."""

    store: str | None = None
    workflows: tuple[Workflow[..., Any] | ModuleType, ...] = ()
    executor: str | LiveExecutor | None = None
    recovery_driver: str | RecoveryDriver | None = None
    recovery_seam: str | ActiveWorkflowRecoverySeam | None = None
    plugins: PluginManager | None = None
    on_version_mismatch: VersionPolicy = "replay"
    on_nondeterminism: NonDeterminismPolicy = "hold"
    settings: Mapping[str, Mapping[str, object]] | None = None
    activation_time_limit: float = 1.0
    resources: tuple[object, ...] = ()
    replay_check: bool = False
    dev_mode: bool | None = None

    def configuration(self) -> Configuration:
        """What is configured, the caller's word first. Raises `ConfigError`."""
        arguments = {
            "store": self.store,
            "executor": _name(self.executor),
            "recovery_driver": _name(self.recovery_driver),
            "recovery_seam": _name(self.recovery_seam),
            "dev_mode": self.dev_mode,
            "plugin_settings": self.settings,
        }
        return load_configuration(arguments=arguments)


@attrs.frozen(kw_only=True)
class Parts:
    """An engine's parts, made but not running.

    Attributes:
        context: catalog, converter and guard; what the factories of the parts were given.
    """

    configuration: Configuration
    plugins: PluginManager
    catalog: WorkflowCatalog
    context: SeamContext
    executor: LiveExecutor
    driver: RecoveryDriver
    seam: ActiveWorkflowRecoverySeam
    observers: Observers
    fails_on_violation: bool
    guard: Guard
    resources: Resources
    replay_check: bool


def assemble(choices: Choices) -> Parts:
    """Make the parts of an engine.

    Raises:
        ConfigError: something is chosen that is not there.
        PluginError: a plugin cannot be loaded, or fails.
    """
    if choices.on_nondeterminism not in ("hold", "fail"):
        raise ConfigError(
            f"on_nondeterminism is 'hold' or 'fail', not {choices.on_nondeterminism!r}"
        )
    shared = assemble_client(choices)
    configuration, plugins, catalog = shared.configuration, shared.plugins, shared.catalog
    converter, settings = shared.converter, configuration.plugin_settings
    guard = Guard(
        activation_time_limit=choices.activation_time_limit,
        strict=sys.flags.dev_mode if configuration.dev_mode is None else configuration.dev_mode,
    )
    context = SeamContext(settings=settings, catalog=catalog, converter=converter, guard=guard)

    def made(given: str | T | None, make: Callable[[str, SeamContext], T], configured: str) -> T:
        return make(configured, context) if given is None or isinstance(given, str) else given

    return Parts(
        configuration=configuration,
        plugins=plugins,
        catalog=catalog,
        context=context,
        executor=made(choices.executor, plugins.executor, configuration.executor),
        driver=made(
            choices.recovery_driver, plugins.recovery_driver, configuration.recovery_driver
        ),
        seam=made(choices.recovery_seam, plugins.recovery_seam, configuration.recovery_seam),
        observers=Observers(plugins.observers(settings)),
        fails_on_violation=choices.on_nondeterminism == "fail",
        guard=guard,
        resources=Resources(choices.resources),
        replay_check=choices.replay_check,
    )


@attrs.frozen(kw_only=True)
class ClientParts:
    """What a client has of the parts of an engine."""

    configuration: Configuration
    plugins: PluginManager
    catalog: WorkflowCatalog
    converter: PayloadConverter


def assemble_client(choices: Choices) -> ClientParts:
    """Make the parts of a client.

    Raises:
        ConfigError: something is chosen that is not there.
        PluginError: a plugin cannot be loaded, or fails.
    """
    configuration = choices.configuration()
    plugins = choices.plugins or installed_plugins(configuration)
    settings = configuration.plugin_settings
    plugins.check_settings(settings)
    converter = PayloadConverter(plugins.payload_codecs(configuration.payload_codecs, settings))
    plugins.configure_converter(converter)
    return ClientParts(
        configuration=configuration,
        plugins=plugins,
        catalog=WorkflowCatalog(
            [*choices.workflows, *plugins.workflows()],
            converter,
            on_version_mismatch=choices.on_version_mismatch,
        ),
        converter=converter,
    )


def installed_plugins(configuration: Configuration) -> PluginManager:
    """All that is installed and not disabled.

    Raises:
        ConfigError: what is to be disabled is nearly the name of a plugin that is installed.
        PluginError: a plugin cannot be loaded.
    """
    plugins = PluginManager.installed(disabled=configuration.disabled_plugins)
    for name in plugins.check_disabled():
        logger.warning(
            "the plugin %r is to be disabled (%s), but is not installed: that changes nothing",
            name,
            configuration.source("disabled_plugins"),
        )
    return plugins


def store_url(configuration: Configuration) -> str:
    """The configured store.

    Raises:
        ConfigError: there is none. No place for somebody's data is assumed.
    """
    if not configuration.store:
        raise ConfigError(
            "no store is named; write open_engine('sqlite:///aion.db', ...), "
            'set AION_STORE=sqlite:///aion.db, or write store = "sqlite:///aion.db" to aion.toml'
        )
    return configuration.store


def _name(part: object) -> str | None:
    return part if isinstance(part, str) else None
