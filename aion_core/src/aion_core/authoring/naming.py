"""Names of definitions: which texts may stand for an activity or a workflow in history."""

from __future__ import annotations

__all__ = ["checked_aliases"]


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
