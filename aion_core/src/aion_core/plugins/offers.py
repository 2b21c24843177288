"""Parts on offer: who offers what under which name, and the one that a chosen name means.

A name that two plugins claim is refused when it is chosen: an engine that does not use it is not
kept from running. Choosing one of them is done by writing the plugin before the name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable, Sequence

import attrs

from aion_core.errors import ConfigError, PluginError
from aion_core.plugins.kinds import Kind
from aion_core.plugins.origin import Origin, blamed
from aion_core.suggestions import did_you_mean

__all__ = ["Offer", "choose", "choose_scheme", "refuse_clash"]


@attrs.frozen
class Offer:
    """A part that a plugin offers.

    Attributes:
        factory: what makes the part (of a store: the provider itself), or its place as
            ``module:attribute``.
    """

    kind: Kind
    name: str
    origin: Origin
    factory: object

    def __str__(self) -> str:
        return f"{self.kind.noun} {self.name!r} of plugin {self.origin}"

    def found(self) -> object:
        """What is offered, imported now if only its place was given.

        Raises:
            PluginError: there is nothing at the place, or its module fails.
        """
        place = self.factory
        if not isinstance(place, str):
            return place
        with blamed(
            self.origin,
            f"offers the {self.kind.noun} {self.name!r}, which is not at {place!r}",
            "repair or disable it",
        ):
            module, _, attribute = place.partition(":")
            return getattr(importlib.import_module(module), attribute)

    def made(self, argument: object) -> object:
        """The part, made by its factory.

        Raises:
            ConfigError: the factory cannot use its settings.
            PluginError: there is no factory, it fails, or makes something else.
        """
        factory = self.found()
        if not callable(factory):
            raise PluginError(
                f"the {self} is {_kind_of(factory)}, not a factory; repair or disable it"
            )
        make: Callable[[object], object] = factory
        with blamed(
            self.origin,
            f"failed to make the {self.kind.noun} {self.name!r}",
            "repair or disable it",
        ):
            part = make(argument)
        return self.checked(part)

    def checked(self, part: object) -> object:
        """The part itself.

        Raises:
            PluginError: it is none of this kind.
        """
        if not isinstance(part, self.kind.part):
            raise PluginError(
                f"the {self} is {_kind_of(part)}, not a {self.kind.part.__name__}; "
                "repair or disable it"
            )
        return part


def choose(
    kind: Kind, chosen: str, offers: Sequence[Offer], disabled: Collection[str] = ()
) -> Offer:
    """The offer that a name in the configuration means: ``name``, or ``plugin:name``.

    Args:
        disabled: plugins that were not asked, for the error.

    Raises:
        ConfigError: nobody offers it.
        PluginError: several plugins do.
    """
    plugin, colon, name = chosen.rpartition(":")
    found = [
        offer
        for offer in offers
        if offer.name == name and (not colon or offer.origin.name == plugin)
    ]
    if not found:
        names = {offer.name for offer in offers}
        there = _there(names, disabled)
        if colon:
            names |= {f"{offer.origin.name}:{offer.name}" for offer in offers}
        otherwise = "install the plugin that does, or choose another"
        raise ConfigError(
            f"no installed plugin offers the {kind.noun} {chosen!r} ({there}); "
            f"{did_you_mean(chosen, names, otherwise=otherwise)}"
        )
    refuse_clash(found, f"{{}}:{name}")
    return found[0]


def choose_scheme(
    url: str, offers: Sequence[Offer], disabled: Collection[str] = ()
) -> tuple[Offer, str]:
    """The store that a URL means, ``scheme:…`` or ``plugin+scheme:…``, and the URL as it knows it.

    Args:
        disabled: plugins that were not asked, for the error.

    Raises:
        ConfigError: it is no URL, or nobody serves its scheme.
        PluginError: several plugins do.
    """
    head, colon, rest = url.partition(":")
    plugin, plus, scheme = head.rpartition("+")
    if not colon or not scheme.isidentifier():
        raise ConfigError(f"{url!r} is not a store URL; write for example 'sqlite:///aion.db'")
    found = [
        offer
        for offer in offers
        if offer.name == scheme and (not plus or offer.origin.name == plugin)
    ]
    if not found:
        schemes = {offer.name for offer in offers}
        there = _there(schemes, disabled)
        if scheme in schemes:
            way_out = f"write '{scheme}:' alone, or name a plugin that serves it"
        else:
            install = f"pip install aion-workflow-store-{scheme}"
            way_out = did_you_mean(scheme, schemes, otherwise=install)
        raise ConfigError(f"no installed plugin serves '{head}:' ({there}); {way_out}")
    refuse_clash(found, f"{{}}+{scheme}:")
    return found[0], f"{scheme}:{rest}"


def refuse_clash(found: Sequence[Offer], pattern: str) -> None:
    """Refuse several offers under one name.

    Args:
        pattern: how one is chosen, with ``{}`` for the name of its plugin.

    Raises:
        PluginError: there are several; names their distributions.
    """
    if len(found) > 1:
        plugins = " and ".join(str(offer.origin) for offer in found)
        picks = " or ".join(repr(pattern.format(offer.origin.name)) for offer in found)
        raise PluginError(
            f"the plugins {plugins} both offer the {found[0].kind.noun} {found[0].name!r}; "
            f"choose {picks}, or disable one of them"
        )


def _there(names: Iterable[str], disabled: Collection[str]) -> str:
    there = f"installed: {', '.join(sorted(names)) or 'none'}"
    return f"{there}; disabled plugins: {', '.join(sorted(disabled))}" if disabled else there


def _kind_of(value: object) -> str:
    return f"a {type(value).__name__}" if value is not None else "None"
