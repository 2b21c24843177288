"""Makers: functions that make instances of frozen classes as the classes do, but fast.

A frozen class sets each of its fields by a call, because its instances refuse assignment. For what
is made several times in every step of a run that is most of the work. An instance from a maker is,
while it is being made, of a subclass without further fields that can be assigned to, and becomes
one of the class in the end, which Python allows where the layout is the same. So the fields are set
by plain assignments, and nobody ever meets an instance that is not frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import attrs

__all__ = ["maker"]

P = ParamSpec("P")
T = TypeVar("T")


def maker(cls: Callable[P, T]) -> Callable[P, T]:
    """A function that takes what a frozen attrs class takes, and gives what it gives.

    With seven fields it takes a third of the time. To be called when a module is imported: a maker
    costs as much as some hundred instances.

    Raises:
        TypeError: it is not a frozen attrs class with slots; or making an instance of it is more
            than setting fields (a validator, a converter, a hook of attrs, a place for the hash,
            what an exception has), which would be left out.
    """
    if not isinstance(cls, type) or not attrs.has(cls) or not _is_plain(cls):
        raise TypeError(
            f"{cls!r} is not a frozen attrs class with slots and fields that are only set; call "
            "the class itself"
        )
    fields = attrs.fields(cls)
    names: dict[str, Any] = {"Writable": _writable(cls), "Frozen": cls, "absent": object()}
    for field in fields:
        factory = _factory_of(field)
        names[f"default_{field.name}"] = field.default if factory is None else names["absent"]
        names[f"new_{field.name}"] = factory
    exec(_source(cls.__name__, fields), names)
    made: Callable[P, T] = names[f"make_{cls.__name__}"]
    return made


def _is_plain(cls: type[attrs.AttrsInstance]) -> bool:
    traits = attrs.inspect(cls)
    hooks = ("__attrs_pre_init__", "__attrs_post_init__")
    return (
        traits.is_frozen
        and traits.is_slotted
        and traits.added_init
        and not traits.is_exception
        and traits.hashability is not attrs.ClassProps.Hashability.HASHABLE_CACHED
        and not any(hasattr(cls, hook) for hook in hooks)
        and all(map(_is_only_set, attrs.fields(cls)))
    )


def _is_only_set(field: attrs.Attribute[Any]) -> bool:
    looks_at_instance = getattr(field.default, "takes_self", False)
    return field.init and not (field.validator or field.converter or looks_at_instance)


def _factory_of(field: attrs.Attribute[Any]) -> Callable[[], object] | None:
    is_factory = isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]  # a class
    return field.default.factory if is_factory else None  # type: ignore[union-attr]  # likewise


def _writable(cls: type) -> type:
    """A subclass of the same layout, whose instances are empty and can be assigned to."""
    own = {
        "__slots__": (),
        "__init__": object.__init__,
        "__setattr__": object.__setattr__,
        "__delattr__": object.__delattr__,
    }
    return type(f"{cls.__name__}BeingMade", (cls,), own)


def _source(name: str, fields: tuple[attrs.Attribute[Any], ...]) -> str:
    """The maker, as text: attrs writes the methods of its classes so, too."""
    by_place = [_parameter(field) for field in fields if not field.kw_only]
    by_name = [_parameter(field) for field in fields if field.kw_only]
    parameters = [*by_place, *(["*", *by_name] if by_name else [])]
    lines = [
        f"def make_{name}({', '.join(parameters)}):",
        "made = Writable()",
        *(f"made.{field.name} = {_value(field)}" for field in fields),
        "made.__class__ = Frozen",
        "return made",
    ]
    return "\n    ".join(lines)


def _parameter(field: attrs.Attribute[Any]) -> str:
    name = _argument(field)
    return name if field.default is attrs.NOTHING else f"{name}=default_{field.name}"


def _value(field: attrs.Attribute[Any]) -> str:
    name = _argument(field)
    if _factory_of(field) is None:
        return name
    return f"new_{field.name}() if {name} is absent else {name}"


def _argument(field: attrs.Attribute[Any]) -> str:
    return field.alias or field.name  # it has an alias once its class is there
