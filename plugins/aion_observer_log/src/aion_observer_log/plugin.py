"""The plugin: gives each engine its observer. Nothing else is imported before an engine opens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aion_core.contracts import Observer
from aion_core.hookspecs import hookimpl

__all__ = ["aion_observers"]


@hookimpl
def aion_observers(settings: Mapping[str, object]) -> Iterable[Observer]:
    """Give the observer that writes to where the settings say."""
    from aion_observer_log.observer import LogObserver
    from aion_observer_log.places import place_of

    return [LogObserver(place_of(settings))]
