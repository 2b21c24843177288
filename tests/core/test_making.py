"""Makers: instances as the classes make them, for what a run makes in every step."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from aion_core import commands as c
from aion_core import events as e
from aion_core.history import ActivityRow
from aion_core.making import maker
from aion_core.payloads import Payload

CLASSES = [
    *(
        each
        for each in vars(e).values()
        if isinstance(each, type) and issubclass(each, e.HistoryEvent)
    ),
    c.RunActivity,
    ActivityRow,
    Payload,
]


def required(cls: type[attrs.AttrsInstance]) -> dict[str, Any]:
    """A value for each field that has no default."""
    return {
        field.name: f"its {field.name}"
        for field in attrs.fields(cls)
        if field.default is attrs.NOTHING
    }


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_maker_gives_what_the_class_gives(cls: type[attrs.AttrsInstance]) -> None:
    make = maker(cls)
    every = {field.name: f"its {field.name}" for field in attrs.fields(cls)}
    for values in (required(cls), every):
        made = make(**values)
        assert type(made) is cls
        assert made == cls(**values)
        assert hash(made) == hash(cls(**values))
        assert repr(made) == repr(cls(**values))


def test_fields_that_stand_in_their_places_may_be_given_so() -> None:
    assert maker(Payload)("text/plain", b"x") == Payload("text/plain", b"x")


def test_what_was_made_is_frozen() -> None:
    made = maker(Payload)("text/plain", b"x")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.data = b"y"  # type: ignore[misc]  # which is the point
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        del made.data


def test_a_maker_refuses_what_the_class_refuses() -> None:
    with pytest.raises(TypeError, match="data"):
        maker(Payload)("text/plain")  # type: ignore[call-arg]  # which is the point
    with pytest.raises(TypeError, match="colour"):
        maker(Payload)("text/plain", b"x", colour="red")  # type: ignore[call-arg]  # likewise


@attrs.frozen
class Checked:
    number: int = attrs.field(validator=attrs.validators.instance_of(int))


@attrs.frozen
class Converted:
    number: int = attrs.field(converter=int)


@attrs.frozen
class Listed:
    numbers: list[int] = attrs.Factory(list)


def test_a_list_that_is_not_given_is_made_for_each() -> None:
    make = maker(Listed)
    first, second = make(), make()
    assert first == second == Listed()
    assert first.numbers is not second.numbers
    given = [1]
    assert make(given).numbers is given


@attrs.frozen
class Following:
    number: int
    other: int = attrs.Factory(lambda self: self.number + 1, takes_self=True)


@attrs.frozen
class Counted:
    number: int = attrs.field(init=False, default=1)


@attrs.frozen
class Hooked:
    number: int

    def __attrs_post_init__(self) -> None:
        """Something that a maker would leave out."""


@attrs.frozen(slots=False)
class Roomy:
    number: int


@attrs.define
class Changeable:
    number: int


@attrs.frozen(cache_hash=True)
class Hashed:
    number: int


@attrs.frozen
class Raised(Exception):
    number: int


class Plain:
    """No attrs class."""


@pytest.mark.parametrize(
    "cls",
    [
        Checked,
        Converted,
        Following,
        Counted,
        Hooked,
        Roomy,
        Changeable,
        Hashed,
        Raised,
        Plain,
    ],
)
def test_there_is_no_maker_of_what_is_more_than_frozen_fields(cls: type) -> None:
    with pytest.raises(TypeError, match="call the class itself"):
        maker(cls)
