"""Resources: what activities share and an engine was given, such as a pool; found by their type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from aion_core.errors import AionError, ConfigError

__all__ = ["Resources"]

T = TypeVar("T")


class Resources:
    """At most one object of each type.

    Raises:
        ConfigError: two are of one type.
    """

    def __init__(self, resources: Iterable[object] = ()) -> None:
        self._by_type: dict[type, object] = {}
        for resource in resources:
            other = self._by_type.setdefault(type(resource), resource)
            if other is not resource:
                raise ConfigError(
                    f"two resources are of type {type(resource).__qualname__}, {other!r} and "
                    f"{resource!r}; give each a class of its own"
                )

    def find(self, wanted: type[T]) -> T:
        """The one of exactly this type, else the one of a subclass.

        Raises:
            AionError: there is none, or there are several of subclasses; it names what there is.
        """
        if not isinstance(wanted, type):
            raise TypeError(f"a resource is found by its class, not by {wanted!r}")
        exact = self._by_type.get(wanted)
        if isinstance(exact, wanted):
            return exact
        fitting = [each for each in self._by_type.values() if isinstance(each, wanted)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise AionError(
                f"several resources are of type {wanted.__qualname__}: {_named(fitting)}; ask for "
                "one of these types"
            )
        known = self._by_type.values()
        raise AionError(
            f"the engine has no resource of type {wanted.__qualname__}; it was opened with "
            f"resources of these types: {_named(known)}"
            if known
            else f"the engine has no resource of type {wanted.__qualname__}; give it one: "
            "open_engine(..., resources=[...])"
        )


def _named(resources: Iterable[object]) -> str:
    return ", ".join(sorted(type(each).__qualname__ for each in resources))
