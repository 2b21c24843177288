"""Names that authors give: which texts may stand in history for a definition or a message."""

from __future__ import annotations

__all__ = ["checked_aliases", "checked_name"]


def checked_aliases(aliases: object, name: str) -> tuple[str, ...]:
    """The former names of a definition, as they were given to its decorator.

    Raises:
        TypeError: they are not a tuple of texts; a single text would be taken letter by letter.
        ValueError: one is empty, cannot be printed, or is the definition's own name.
    """
    if not isinstance(aliases, tuple):
        raise TypeError(
            f"aliases of {name!r} must be a tuple of names, such as aliases=('old',), "
            f"not {aliases!r}"
        )
    for alias in aliases:
        if not isinstance(alias, str):
            raise TypeError(f"an alias of {name!r} must be text, not {alias!r}")
        if not alias.strip() or not alias.isprintable():
            raise ValueError(f"alias {alias!r} of {name!r} must be non-empty printable text")
        if alias == name:
            raise ValueError(
                f"alias {alias!r} is the definition's own name; aliases are its former names"
            )
    return aliases


def checked_name(kind: str, name: str) -> str:
    """The name of a kind of message, such as ``a signal``.

    Raises:
        TypeError: it is no text.
        ValueError: it is empty or cannot be printed.
    """
    if not isinstance(name, str):
        raise TypeError(f"{kind}'s name is text, not {name!r}")
    if not name or not name.isprintable():
        raise ValueError(f"{kind}'s name must be non-empty printable text, not {name!r}")
    return name
