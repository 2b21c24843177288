"""Fast conversion: what the careful one would do, for classes of any kind, or it gives up."""

from __future__ import annotations

import abc
import dataclasses
import functools
import threading
import typing
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, ClassVar, NewType, Self, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_core.authoring.signature import CallSignature
from aion_core.conversion import FastConversion, strict_converter
from aion_core.errors import PayloadError
from aion_core.generating import Unsure
from aion_core.json_text import write_json
from aion_core.payloads import JSON, Payload, PayloadConverter

CONVERTER = PayloadConverter()
Number = NewType("Number", int)


@attrs.frozen
class Slotted:
    number: Number
    text: str
    flag: bool
    ratio: float
    note: str | None


@attrs.frozen
class Nested:
    first: Slotted | None
    others: list[Slotted]
    price: Decimal
    nothing: None = None


@attrs.frozen(slots=False)
class Unslotted:
    number: int


@attrs.define
class Changeable:
    number: int


@attrs.frozen(kw_only=True)
class ByName:
    number: int = 7
    text: str


@attrs.frozen
class Private:
    _number: int


@attrs.frozen
class Made:
    items: list[int] = attrs.field(factory=list)
    count: int = attrs.Factory(lambda self: len(self.items), takes_self=True)


@attrs.frozen
class Computed:
    number: int
    double: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "double", self.number * 2)


@attrs.frozen(cache_hash=True)
class Hashed:
    number: int


@attrs.frozen
class Problem(Exception):
    number: int


@attrs.frozen
class Plain:
    number: int


@attrs.frozen
class Longer(Plain):
    text: str


class Undecorated(Plain):
    pass


@dataclasses.dataclass
class Data:
    number: int
    text: str = "none"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slim:
    number: int
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Counted:
    kind: ClassVar[str] = "counted"
    number: int


@attrs.frozen
class Tree:
    name: str
    branches: list[Tree]


VALUES: list[Any] = [
    Slotted(Number(1), 'ä"\\{}\n', True, 1.5, None),
    Slotted(Number(-(2**70)), "", False, 1e16, "note"),
    Nested(None, [], Decimal("1.50")),
    Nested(
        Slotted(Number(0), "{x}", False, -0.0, ""),
        [Slotted(Number(1), "a", True, 2.0, None)],
        Decimal(1),
    ),
    Unslotted(1),
    Changeable(1),
    ByName(text="a"),
    Private(1),
    Made([1, 2]),
    Computed(2),
    Hashed(1),
    Problem(1),
    Plain(1),
    Longer(1, "a"),
    Undecorated(1),
    Data(1),
    Slim(number=1, tags=["a"]),
    Counted(1),
    Tree("root", [Tree("branch", [])]),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_fast_text_is_the_careful_one(value: Any) -> None:
    careful = strict_converter()
    plain = careful.unstructure(value, unstructure_as=type(value))
    assert FastConversion().texts[type(value)](value) == write_json(plain)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_fast_reader_gives_what_was_written(value: Any) -> None:
    fast = FastConversion()
    found = fast.readers[type(value)](fast.texts[type(value)](value))
    assert type(found) is type(value)
    # Two exceptions are never equal.
    assert repr(found) == repr(value)


@attrs.frozen(init=False)
class Generous:
    number: int = 1

    def __init__(self, number: int = 100) -> None:
        object.__setattr__(self, "number", number)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"text":"a"}', ByName(text="a")),
        ('{"number":1}', Data(1)),
        ('{"number":1}', Slim(number=1)),
        ('{"items":[1]}', Made([1])),
        ("{}", Made()),
        ("{}", Generous()),
        ('{"first":null,"others":[],"price":"1"}', Nested(None, [], Decimal(1))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_field_that_is_absent_is_as_its_class_makes_it(text: str, value: Any) -> None:
    assert FastConversion().readers[type(value)](text) == value


def test_what_is_made_for_each_instance_is_made_for_each_that_is_read() -> None:
    first, second = (CONVERTER.decode(Payload(JSON, b"{}"), Made) for _ in range(2))
    assert first.items is not second.items


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ([], list[int]),
        ([1, 2**70], list[int]),
        (["ä", '"'], list[str]),
        ([True], list[bool]),
        ([1, 2.5], list[float]),
        ([[1], []], list[list[int]]),
        ([Plain(1)], list[Plain]),
        ([None, "a"], list[str | None]),
        ([Decimal(1)], list[Decimal]),
    ],
    ids=str,
)
def test_a_list_is_written_as_json_writes_it(value: Any, annotation: Any) -> None:
    plain = strict_converter().unstructure(value, unstructure_as=annotation)
    assert FastConversion().texts[annotation](value) == write_json(plain)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ([1, True], list[int]),
        (["a", None], list[str]),
        ((1,), list[int]),
        ([[1], (2,)], list[list[int]]),
    ],
    ids=str,
)
def test_a_list_with_something_else_in_it_is_refused(value: Any, annotation: Any) -> None:
    with pytest.raises(PayloadError, match="expected"):
        CONVERTER.encode(value, annotation)


def test_what_was_read_is_an_instance_like_any_other() -> None:
    found = CONVERTER.decode(Payload(JSON, b'{"number":1}'), Plain)
    assert hash(found) == hash(Plain(1))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        found.number = 2
    hashed = CONVERTER.decode(Payload(JSON, b'{"number":1}'), Hashed)
    assert hash(hashed) == hash(Hashed(1))


@given(st.floats())
def test_a_number_is_written_as_json_writes_it_or_refused(number: float) -> None:
    try:
        expected = write_json(number)
    except ValueError:
        with pytest.raises(PayloadError, match="cannot be stored as JSON"):
            CONVERTER.encode(number, float)
    else:
        assert CONVERTER.encode(number, float).data.decode() == expected


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=())))
def test_a_text_is_written_as_json_writes_it_or_refused(text: str) -> None:
    try:
        expected = write_json({"number": 1, "text": text}).encode()
    except UnicodeEncodeError:
        with pytest.raises(PayloadError, match="cannot be stored as JSON"):
            CONVERTER.encode(Longer(1, text), Longer)
    else:
        assert CONVERTER.encode(Longer(1, text), Longer).data == expected


@attrs.define(on_setattr=attrs.setters.NO_OP)
class Checked:
    number: int = attrs.field(validator=attrs.validators.ge(0))


@attrs.define
class Hooked:
    number: int

    def __attrs_post_init__(self) -> None:
        _refuse_negative(self.number)


@dataclasses.dataclass
class After:
    number: int

    def __post_init__(self) -> None:
        _refuse_negative(self.number)


@attrs.define(init=False)
class Own:
    number: int

    def __init__(self, number: int) -> None:
        _refuse_negative(number)
        self.number = number


@dataclasses.dataclass
class OwnData:
    number: int

    def __init__(self, number: int) -> None:
        _refuse_negative(number)
        self.number = number


def _wrapped(cls: type[Any]) -> type[Any]:
    """Checks arguments, as libraries for types do to classes that attrs has made."""
    inner = cls.__init__

    @functools.wraps(inner)
    def checked(self: Any, number: int) -> None:
        _refuse_negative(number)
        inner(self, number)

    cls.__init__ = checked
    return cls


@_wrapped
@attrs.define
class Wrapped:
    number: int


class Meta(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        _refuse_negative(made.number)
        return made


@attrs.define
class Special(metaclass=Meta):
    number: int


@attrs.define
class New:
    number: int

    def __new__(cls, number: int) -> Self:
        _refuse_negative(number)
        return super().__new__(cls)


@attrs.define(slots=False)
class Setting:
    number: int

    def __setattr__(self, name: str, value: Any) -> None:
        _refuse_negative(value)
        super().__setattr__(name, value)


def _refuse_negative(number: int) -> None:
    if number < 0:
        raise ValueError("no number below 0")


PARTICULAR = [Checked, Hooked, After, Own, OwnData, Wrapped, Special, New, Setting]


@pytest.mark.parametrize("cls", PARTICULAR)
def test_a_value_that_its_class_would_refuse_is_not_written(cls: Callable[[int], Any]) -> None:
    value = cls(1)
    object.__setattr__(value, "number", -1)
    with pytest.raises(PayloadError):
        CONVERTER.encode(value, cls)


@pytest.mark.parametrize("cls", PARTICULAR)
def test_a_value_that_its_class_refuses_is_not_read(cls: Any) -> None:
    assert CONVERTER.decode(Payload(JSON, b'{"number":1}'), cls).number == 1
    with pytest.raises(PayloadError):
        CONVERTER.decode(Payload(JSON, b'{"number":-1}'), cls)


def test_an_abstract_class_is_not_read() -> None:
    @attrs.frozen
    class Abstract(abc.ABC):
        number: int

        @abc.abstractmethod
        def use(self) -> None: ...

    with pytest.raises(PayloadError, match="abstract"):
        CONVERTER.decode(Payload(JSON, b'{"number":1}'), Abstract)


def test_a_class_that_gives_its_arguments_other_names_is_refused_as_ever() -> None:
    @attrs.frozen(init=False)
    class Renamed:
        number: int

        def __init__(self, given: int) -> None:
            object.__setattr__(self, "number", given)

    with pytest.raises(PayloadError, match="unexpected keyword argument 'number'"):
        CONVERTER.encode(Renamed(1), Renamed)


def test_a_value_deeper_than_can_be_read_is_not_written() -> None:
    tree = Tree("leaf", [])
    for _ in range(2000):
        tree = Tree("branch", [tree])
    with pytest.raises(PayloadError):
        CONVERTER.encode(tree, Tree)


def test_an_error_is_told_as_if_nobody_had_been_fast() -> None:
    signature = CallSignature(one)
    failed = Payload(JSON, b'{"item":{"number":"1"}}')
    attempts: list[Callable[[], object]] = [
        lambda: CONVERTER.encode(Plain(cast(int, "1")), Plain),
        lambda: CONVERTER.decode(failed, Plain),
        lambda: signature.encode_arguments((Plain(cast(int, "1")),), {}, CONVERTER),
        lambda: signature.decode_arguments(failed, CONVERTER),
    ]
    for attempt in attempts:
        with pytest.raises(PayloadError) as info:
            attempt()
        assert not any(isinstance(error, Unsure) for error in chain(info.value))


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def one(item: Plain, times: int = 1) -> None: ...


def test_an_argument_with_a_default_may_be_absent() -> None:
    signature = CallSignature(one)
    payload = Payload(JSON, b'{"item":{"number":1},"gone":2}')
    assert signature.decode_arguments(payload, CONVERTER) == {"item": Plain(1)}


def test_an_argument_without_a_default_is_missed() -> None:
    with pytest.raises(PayloadError, match=r"^\$\.item: field 'item' is missing$"):
        CallSignature(one).decode_arguments(Payload(JSON, b'{"times":2}'), CONVERTER)


def test_a_value_that_only_the_careful_one_knows_is_stored() -> None:
    class Numbers(list[int]):
        pass

    assert CONVERTER.encode(Made(Numbers([1])), Made).data == b'{"items":[1],"count":1}'


def test_a_list_of_anything_has_fast_functions() -> None:
    text = FastConversion().texts[typing.List]  # noqa: UP006  # which is the point
    assert text([1, "a"]) == '[1,"a"]'


def test_threads_may_ask_for_a_class_at_the_same_time() -> None:
    converter = PayloadConverter()
    stored: list[bytes] = []
    barrier = threading.Barrier(4)

    def store() -> None:
        barrier.wait()
        stored.append(converter.encode(Tree("root", []), Tree).data)

    threads = [threading.Thread(target=store) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored == [b'{"name":"root","branches":[]}'] * 4
