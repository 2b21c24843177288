"""Payloads: strict both ways, every supported type comes back, errors say where."""

import enum
import os
import subprocess
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePath
from types import GenericAlias
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_core.errors import PayloadError
from aion_core.payloads import JSON, Payload, PayloadConverter

CONVERTER = PayloadConverter()
T = TypeVar("T")
UserId = NewType("UserId", str)
OrderId = NewType("OrderId", UUID)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Mood(enum.StrEnum):
    CALM = "calm"


class Mode(enum.Flag):
    READ = 1
    WRITE = 2


class Shape(enum.Enum):
    SQUARE = (1, 1)


class TypedShape(enum.Enum):
    _value_: tuple[int, int]
    SQUARE = (1, 1)


class Money(Decimal):
    pass


class Name(str):
    __slots__ = ()


@attrs.frozen
class Item:
    name: str
    price: Decimal


@attrs.frozen
class Discounted(Item):
    off: int = 0


@attrs.frozen
class Order:
    items: list[Item]
    colour: Colour = Colour.RED
    note: str | None = None


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.0


@attrs.frozen
class Node:
    value: int
    next: "Node | None" = None


@attrs.frozen
class Box(Generic[T]):
    value: T


class Pair(NamedTuple):
    first: int
    second: Decimal


class Address(TypedDict):
    street: str
    since: date
    floor: NotRequired[int]


class Tree(TypedDict):
    name: str
    branches: "list[Tree]"


@attrs.frozen
class Card:
    number: str


@attrs.frozen
class Transfer:
    account: str
    due: date | None = None


@dataclass(frozen=True)
class Cash:
    kind: Literal["cash"]
    amount: int


@dataclass(frozen=True)
class Cheque:
    kind: Literal["cheque"]
    amount: int


def plain(text: str) -> Payload:
    return Payload(JSON, text.encode())


def encoded(value: object, annotation: Any) -> str:
    return CONVERTER.encode(value, annotation).data.decode()


def come_back(value: object, annotation: Any) -> Any:
    return CONVERTER.decode(CONVERTER.encode(value, annotation), annotation)


# Python itself does not read back the offsets of less than a second that it writes.
offsets = st.integers(-80_000, 80_000).map(lambda n: timezone(timedelta(seconds=n)))
texts = st.text()
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
    Decimal: st.decimals(allow_nan=False),
    UUID: st.uuids(),
    datetime: st.datetimes(timezones=st.none() | st.just(UTC) | offsets),
    date: st.dates(),
    time: st.times(),
    timedelta: st.timedeltas(timedelta(days=-90_000), timedelta(days=90_000)),
    bytes: st.binary(),
    Path: texts.map(lambda text: Path("/", text.replace("\0", ""))),
    Colour: st.sampled_from(Colour),
    Level: st.sampled_from(Level),
    Mood: st.sampled_from(Mood),
    Mode: st.sampled_from([Mode.READ, Mode.READ | Mode.WRITE]),
    Literal[Colour.RED, True] | None: st.sampled_from([Colour.RED, None, True]),
    OrderId: st.uuids(),
    Annotated[Decimal, "in euros"]: st.decimals(allow_nan=False),
    Address: st.fixed_dictionaries(
        {"street": texts, "since": st.dates()}, optional={"floor": st.integers()}
    ),
    Card | Transfer | None: st.one_of(
        st.none(), st.builds(Card, texts), st.builds(Transfer, texts, st.none() | st.dates())
    ),
    Cash | Cheque: st.one_of(
        st.builds(Cash, st.just("cash"), st.integers()),
        st.builds(Cheque, st.just("cheque"), st.integers()),
    ),
    Card | list[int] | bool | Decimal | int: st.one_of(
        st.builds(Card, texts),
        st.lists(st.integers(), max_size=2),
        st.booleans(),
        st.decimals(allow_nan=False),
        st.integers(),
    ),
    Literal["a", 1] | float: st.sampled_from(["a", 1, 1.5]),
    dict[str, date] | tuple[int, ...] | Mood: st.one_of(
        st.dictionaries(texts, st.dates(), max_size=2),
        st.lists(st.integers(), max_size=2).map(tuple),
        st.sampled_from(Mood),
    ),
    Literal["a", 2]: st.sampled_from(["a", 2]),
    UserId: texts,
    int | None: st.none() | st.integers(),
    str | int | None: st.none() | st.integers() | texts,
    Decimal | int: st.integers() | st.decimals(allow_nan=False),
    Item: st.builds(Item, texts, st.decimals(allow_nan=False)),
    Point: st.builds(Point, st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    Pair: st.builds(Pair, st.integers(), st.decimals(allow_nan=False)),
    Box[int]: st.builds(Box, st.integers()),
}
HASHABLE = [str, int, bool, Decimal, UUID, date, Colour, Item, Point]
KEYS = [str, int, UUID, date, Decimal, Colour]

Pairs = st.SearchStrategy[tuple[Any, Any]]


def of(annotation: Any, values: st.SearchStrategy[Any]) -> Pairs:
    return values.map(lambda value: (value, annotation))


def containers(inner: tuple[Any, st.SearchStrategy[Any]]) -> Pairs:
    annotation, values = inner
    items = st.lists(values, max_size=4)
    return st.one_of(
        of(GenericAlias(list, annotation), items),
        of(GenericAlias(tuple, (annotation, ...)), items.map(tuple)),
        of(GenericAlias(tuple, (int, annotation)), st.tuples(st.integers(), values)),
        of(Optional[annotation], st.none() | values),  # noqa: UP045
        of(GenericAlias(dict, (str, annotation)), st.dictionaries(texts, values, max_size=4)),
        of(
            GenericAlias(dict, (str, GenericAlias(list, annotation))),
            st.dictionaries(texts, items, max_size=3),
        ),
    )


def sets(annotation: Any) -> Pairs:
    values = SCALARS[annotation]
    return st.one_of(
        of(GenericAlias(set, annotation), st.sets(values, max_size=4)),
        of(GenericAlias(frozenset, annotation), st.frozensets(values, max_size=4)),
    )


def mappings(key: Any) -> Pairs:
    values = st.dictionaries(SCALARS[key], st.integers(), max_size=4)
    return of(GenericAlias(dict, (key, int)), values)


anything = st.one_of(
    *(of(annotation, values) for annotation, values in SCALARS.items()),
    st.sampled_from(list(SCALARS.items())).flatmap(containers),
    st.sampled_from(HASHABLE).flatmap(sets),
    st.sampled_from(KEYS).flatmap(mappings),
)


@given(anything)
def test_every_supported_value_comes_back_with_its_type(pair: tuple[Any, Any]) -> None:
    value, annotation = pair
    result = come_back(value, annotation)
    assert (result, type(result)) == (value, type(value))


@given(anything)
def test_what_came_back_is_stored_as_before(pair: tuple[Any, Any]) -> None:
    value, annotation = pair
    stored = encoded(value, annotation)
    assert encoded(CONVERTER.decode(plain(stored), annotation), annotation) == stored


@pytest.mark.parametrize("annotation", SCALARS, ids=str)
def test_a_supported_type_passes_the_early_check(annotation: Any) -> None:
    CONVERTER.check_type(annotation)


def test_a_class_that_holds_itself_comes_back() -> None:
    assert come_back(Node(1, Node(2)), Node) == Node(1, Node(2))


@pytest.mark.parametrize("value", [(1, 2), [1, 2]])
def test_a_sequence_comes_back_as_a_list(value: Sequence[int]) -> None:
    assert come_back(value, Sequence[int]) == [1, 2]


def test_a_member_whose_value_has_a_type_of_its_own_comes_back() -> None:
    assert come_back(TypedShape.SQUARE, TypedShape) is TypedShape.SQUARE


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", '{"a":NaN}'])
def test_numbers_that_json_does_not_know_are_not_read(text: str) -> None:
    with pytest.raises(PayloadError, match="is no JSON number"):
        CONVERTER.decode(plain(text), Any)


def test_an_int_where_a_float_belongs_comes_back_as_a_float() -> None:
    assert repr(come_back(5, float)) == "5.0"


def test_a_field_that_was_added_later_takes_its_default() -> None:
    assert CONVERTER.decode(plain('{"items":[]}'), Order) == Order(items=[])


@pytest.mark.parametrize(
    "text", ["🙂", "\x00", "\u202e", "a\u2028b", "\ufeff", "e\u0301", "＜script＞"]
)
def test_hostile_unicode_comes_back(text: str) -> None:
    assert come_back({text: [text]}, dict[str, list[str]]) == {text: [text]}


def test_text_stays_readable_in_the_store() -> None:
    assert encoded("Größe", str) == '"Größe"'


def test_a_set_is_stored_in_the_same_order_by_every_process() -> None:
    program = (
        "from aion_core.payloads import PayloadConverter;"
        "words = {str(n) * 3 for n in range(50)} | {'ü', '🙂'};"
        "print(ascii(PayloadConverter().encode(words, set[str]).data))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1


def test_a_set_of_objects_is_stored_sorted() -> None:
    values = frozenset({Point(2), Point(1)})
    assert encoded(values, frozenset[Point]) == '[{"x":1,"y":0.0},{"x":2,"y":0.0}]'


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        ("1", int, "$: expected int, got str"),
        (True, int, "$: expected int, got bool"),
        (1.0, int, "$: expected int, got float"),
        (1, str, "$: expected str, got int"),
        (1, bool, "$: expected bool, got int"),
        (True, float, "$: expected float, got bool"),
        (1, None, "$: expected NoneType, got int"),
        (None, int, "$: expected int, got NoneType"),
        ("1.5", Decimal, "$: expected Decimal, got str"),
        (1.5, Decimal, "$: expected Decimal, got float"),
        ("1.5", Decimal | None, "$: expected Decimal, got str"),
        (str(UUID(int=1)), UUID, "$: expected UUID, got str"),
        (datetime(2024, 1, 1, tzinfo=UTC), date, "$: expected date, got datetime"),
        (date(2024, 1, 1), datetime, "$: expected datetime, got date"),
        (5, timedelta, "$: expected timedelta, got int"),
        (5, Path, "$: expected Path, got int"),
        ("a", Path, "$: expected Path, got str"),
        ("x", bytes, "$: expected bytes, got str"),
        (bytearray(b"x"), bytes, "$: expected bytes, got bytearray"),
        ("red", Colour, "$: expected Colour, got str"),
        (Size.RED, Colour, "$: expected Colour, got Size"),
        ({"name": "a"}, Item, "$: expected Item, got dict"),
        (Discounted("a", Decimal(1)), Item, "$: expected Item, got Discounted"),
        (Point(1), Item, "$: expected Item, got Point"),
        ((1, 2), list[int], "$: expected list, got tuple"),
        ({1, 2}, list[int], "$: expected list, got set"),
        ({1: 2}, list[int], "$: expected list, got dict"),
        ("abc", list[str], "$: expected list, got str"),
        ("abc", Sequence[str], "$: expected list, got str"),
        ([1], tuple[int, ...], "$: expected tuple, got list"),
        ([1, "a"], tuple[int, str], "$: expected tuple, got list"),
        ((1,), tuple[int, str], "$: expected 2 items, got 1"),
        ((1, "a", 2), tuple[int, str], "$: expected 2 items, got 3"),
        ((1, Decimal(1)), Pair, "$: expected Pair, got tuple"),
        ([1], set[int], "$: expected set, got list"),
        ({1}, frozenset[int], "$: expected frozenset, got set"),
        ([("a", 1)], dict[str, int], "$: expected dict, got list"),
        ("calm", Mood, "$: expected Mood, got str"),
        ("a", Mood | int, "$: expected Mood | int, got str"),
        (Mood.CALM, str, "$: expected str, got Mood"),
        (True, Literal[1], "$: expected 1, got bool"),
        (1.0, Literal[1, 2], "$: expected 1 or 2, got float"),
        ("c", Literal["a", "b"], "$: expected 'a' or 'b', got 'c'"),
        ("red", Literal[Colour.RED], "$: expected <Colour.RED: 'red'>, got str"),
        (True, int | str, "$: expected int | str, got bool"),
        ("1.5", Decimal | int, "$: expected Decimal | int, got str"),
        (Item("a", Decimal(1)), Card | Transfer, "$: expected Card | Transfer, got Item"),
        ("1", Annotated[Decimal, "x"], "$: expected Decimal, got str"),
        ("1", OrderId, "$: expected UUID, got str"),
        (Box("1"), Box[int], "$.value: expected int, got str"),
        ({"street": "a"}, Address, "$.since: field 'since' is missing"),
        ({"street": 1, "since": date(2024, 1, 1)}, Address, "$.street: expected str, got int"),
        (
            {"street": "a", "since": date(2024, 1, 1), "door": 1},
            Address,
            "$: Address has no key 'door'",
        ),
        ([("street", "a")], Address, "$: expected dict, got list"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(value: object, annotation: Any, message: str) -> None:
    with pytest.raises(PayloadError) as info:
        CONVERTER.encode(value, annotation)
    assert str(info.value) == message


@pytest.mark.parametrize(
    ("value", "annotation", "path"),
    [
        (Order([Item("a", Decimal(1)), Item("b", "2")]), Order, "$.items[1].price"),  # type: ignore[arg-type]
        ([[1, "2"]], list[list[int]], "$[0][1]"),
        ({"a": {"b": "c"}}, dict[str, dict[str, int]], "$['a']['b']"),
        ((1, "2"), tuple[int, int], "$[1]"),
        (Pair(1, 2), Pair, "$[1]"),  # type: ignore[arg-type]
        (Node(1, Node(2, Node("3"))), Node, "$.next.next.value"),  # type: ignore[arg-type]
        (
            Order([Item("a", Decimal(1)), Item("b", Decimal(2)), Item("c", "3")]),  # type: ignore[arg-type]
            Order | None,
            "$.items[2].price",
        ),
        ([Transfer("a", "today")], list[Card | Transfer], "$[0].due"),  # type: ignore[arg-type]
        ([timedelta(days=999_999, microseconds=1)], list[timedelta], "$[0]"),
        (
            {"name": "a", "branches": [{"name": "b", "branches": [{"name": 1, "branches": []}]}]},
            Tree,
            "$.branches[0].branches[0].name",
        ),
        ({"a": [float("nan")]}, dict[str, list[float]], "$.a[0]"),
        ({"a": ["\ud800"]}, dict[str, list[str]], "$.a[0]"),
    ],
)
def test_the_error_says_where_the_misfit_is(value: object, annotation: Any, path: str) -> None:
    with pytest.raises(PayloadError) as info:
        CONVERTER.encode(value, annotation)
    assert str(info.value).startswith(f"{path}: ")


def test_an_error_about_an_argument_begins_with_its_name() -> None:
    with pytest.raises(
        PayloadError, match=r"^\$\.order\.items\[0\]\.price: expected Decimal, got str"
    ):
        CONVERTER.encode_fields({"order": Order([Item("a", "1")])}, {"order": Order})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (float("nan"), float),
        (float("inf"), float),
        (2**53 + 1, float),
        (Shape.SQUARE, Shape),
        ("\ud800", str),
        ({"\ud800": 1}, dict[str, int]),
        ({True: 1}, dict[bool, int]),
        ({1.5: 1}, dict[float, int]),
        ({Level.LOW: 1}, dict[Level, int]),
        (Money(1), Money),
        (Name("a"), Name),
        (10**5_000, int),
        (timedelta(days=999_999, microseconds=1), timedelta),
        (object(), Any),
        (1j, Any),
        (len, Any),
    ],
    ids=lambda value: str(type(value)),
)
def test_what_would_not_come_back_is_refused(value: object, annotation: Any) -> None:
    with pytest.raises(PayloadError):
        CONVERTER.encode(value, annotation)


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(PayloadError):
        CONVERTER.encode(endless, list[Any])


@pytest.mark.parametrize("annotation", [Any, list[Any], dict[str, Any]])
def test_a_value_too_deep_for_json_is_refused(annotation: Any) -> None:
    value: Any = []
    for _ in range(50_000):
        value = [value]
    with pytest.raises(PayloadError):
        CONVERTER.encode({"a": value} if annotation == dict[str, Any] else [value], annotation)


@pytest.mark.parametrize(
    ("text", "annotation", "message"),
    [
        ('"1"', int, "$: expected int, got str"),
        ("true", int, "$: expected int, got bool"),
        ("1.0", int, "$: expected int, got float"),
        ("1", Decimal, "$: expected Decimal as text, got int"),
        ('"x"', Decimal, "$: expected Decimal, got 'x'"),
        ('"x"', UUID, "$: expected UUID, got 'x'"),
        ('"x"', datetime, "$: expected datetime, got 'x'"),
        ('"x!"', bytes, "$: expected bytes, got 'x!'"),
        ('"green"', Colour, "$: 'green' is not a valid Colour"),
        ('"abc"', list[str], "$: expected list, got str"),
        ('{"a":1}', list[str], "$: expected list, got dict"),
        ("[1]", tuple[int, int], "$: expected 2 items, got 1"),
        ('{"01":1}', dict[int, int], "$['01']: expected int, got str"),
        ('{"name":"a"}', Item, "$.price: field 'price' is missing"),
        ("[]", Item, "$: expected Item as an object, got list"),
        ('{"x":1,"y":"2"}', Point, "$.y: expected float, got str"),
        ("true", Level, "$: expected Level, got bool"),
        ("1.0", Level, "$: expected Level, got float"),
        ("true", Literal[1], "$: expected 1, got bool"),
        ("[]", Literal["a"], "$: expected 'a', got list"),
        ("[]", int | str, "$: expected int | str, got list"),
        ('"x"', Card | Transfer, "$: expected Card | Transfer, got str"),
        (
            '{"x":1}',
            Card | Transfer,
            "$: expected Card | Transfer, got an object that is none of them",
        ),
        (
            '{"amount":1}',
            Cash | Cheque,
            "$: expected Cash | Cheque, got an object that is none of them",
        ),
        ('{"account":1}', Card | Transfer, "$.account: expected str, got int"),
        ('{"street":"a"}', Address, "$.since: field 'since' is missing"),
        ("[]", Address, "$: expected dict, got list"),
    ],
)
def test_stored_data_that_does_not_fit_is_refused(text: str, annotation: Any, message: str) -> None:
    with pytest.raises(PayloadError) as info:
        CONVERTER.decode(plain(text), annotation)
    assert str(info.value) == message


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":1}x'], ids=repr)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(PayloadError, match=r"^\$: not JSON"):
        CONVERTER.decode(Payload(JSON, data), Any)


def test_another_content_type_is_refused_by_its_name() -> None:
    with pytest.raises(PayloadError, match="image/png"):
        CONVERTER.decode(Payload("image/png", b"1"), int)


@pytest.mark.parametrize(
    "annotation",
    [
        complex,
        object,
        Callable[[], int],
        list[complex],
        Box,
        Box[complex],
        deque,
        deque[int],
        OrderedDict[str, int],
        Iterable[int],
        Literal[b"a"],
        dict[float, int],
        dict[bool, int],
        dict[Point, int],
        dict[int | str, int],
        int | complex,
        Shape,
    ],
    ids=str,
)
def test_a_type_without_a_stored_form_is_found_early(annotation: Any) -> None:
    with pytest.raises(TypeError, match="cannot be stored"):
        CONVERTER.check_type(annotation)


@pytest.mark.parametrize(
    "annotation",
    [
        Decimal | str,
        datetime | str | None,
        Colour | str,
        Level | int,
        timedelta | float,
        Decimal | UUID,
        list[int] | set[int],
        list[int] | list[str],
        Point | dict[str, int],
        Address | Card,
        Card | Literal["a"] | Colour,
        Any | Decimal,
        Item | Box[int] | dict[str, int],
    ],
    ids=str,
)
def test_a_union_of_types_stored_alike_is_refused(annotation: Any) -> None:
    with pytest.raises(TypeError, match="told apart"):
        CONVERTER.check_type(annotation)


def test_the_early_check_names_the_type_of_which_nothing_is_known() -> None:
    with pytest.raises(TypeError, match=r"list\[complex\].* nothing is known of complex"):
        CONVERTER.check_type(list[complex])


def test_the_early_check_names_the_members_of_a_union_that_are_stored_alike() -> None:
    with pytest.raises(
        TypeError, match=r"Decimal and UUID are stored alike.* Decimal \| int \| UUID"
    ):
        CONVERTER.check_type(Decimal | int | UUID)


def test_classes_that_differ_in_an_optional_field_only_are_refused_as_a_union() -> None:
    @attrs.frozen
    class Wire:
        account: str
        iban: str | None = None

    with pytest.raises(TypeError, match="told apart"):
        CONVERTER.check_type(Transfer | Wire)


def test_a_key_that_a_typed_dictionary_no_longer_has_is_left_out() -> None:
    stored = plain('{"street":"a","since":"2024-01-01","gone":1}')
    found = CONVERTER.decode(stored, Address)
    assert found == {"street": "a", "since": date(2024, 1, 1)}


def test_a_typed_dictionary_that_holds_itself_comes_back() -> None:
    tree: Tree = {"name": "a", "branches": [{"name": "b", "branches": []}]}
    assert come_back(tree, Tree) == tree


def test_named_values_are_stored_as_one_object() -> None:
    payload = CONVERTER.encode_fields({"a": 1, "b": Decimal(2)}, {"a": int, "b": Decimal})
    assert payload == plain('{"a":1,"b":"2"}')


def test_named_values_come_back_by_their_annotations() -> None:
    assert CONVERTER.decode_fields(plain('{"b":"2"}'), {"b": Decimal}) == {"b": Decimal(2)}


def test_a_stored_name_that_nobody_asks_for_is_ignored() -> None:
    assert CONVERTER.decode_fields(plain('{"gone":1}'), {}) == {}


def test_an_absent_name_is_left_out() -> None:
    assert CONVERTER.decode_fields(plain("{}"), {"a": int}) == {}


def test_named_values_are_read_from_an_object_only() -> None:
    with pytest.raises(PayloadError, match=r"\$: expected an object, got list"):
        CONVERTER.decode_fields(plain("[]"), {})


def test_a_mapping_is_stored_as_an_object() -> None:
    assert come_back({"a": 1}, Mapping[str, int]) == {"a": 1}


def test_a_path_given_as_its_base_class_fits() -> None:
    assert come_back(Path("/x"), PurePath) == PurePath("/x")
