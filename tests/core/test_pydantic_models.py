"""Models of pydantic as values: they come back, nothing is coerced, errors say where."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID

import attrs
import pytest
from pydantic import BaseModel, Field

from aion_core.errors import PayloadError
from aion_core.payloads import JSON, Payload, PayloadConverter

CONVERTER = PayloadConverter()
T = TypeVar("T")


class Item(BaseModel):
    name: str
    price: Decimal


class Gift(Item):
    wrapped: bool = True


class Order(BaseModel):
    id: UUID
    placed: datetime
    items: list[Item]
    notes: dict[str, Item] = {}
    tags: set[int] = set()
    patience: timedelta = timedelta(days=1)
    count: int = Field(default=1, alias="howMany")
    ratio: float = 1.0


class Box(BaseModel, Generic[T]):
    value: T


class Secretive(BaseModel):
    code: int = Field(exclude=True)


@attrs.frozen
class Delivery:
    order: Order
    extra: Item | None = None


ITEM = Item(name="a", price=Decimal("1.50"))
ORDER = Order(
    id=UUID(int=1),
    placed=datetime(2024, 3, 1, tzinfo=UTC),
    items=[ITEM],
    notes={"first": ITEM},
    tags={3, 1},
    howMany=2,
)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (ITEM, Item),
        (ORDER, Order),
        (Gift(name="a", price=Decimal(1)), Gift),
        (Box[int](value=1), Box[int]),
        (None, Item | None),
        (ITEM, Item | None),
        (ITEM, Item | int | list[int]),
        ([ITEM], list[Item]),
        ({"a": ITEM}, dict[str, Item]),
        (Delivery(ORDER, ITEM), Delivery),
    ],
    ids=str,
)
def test_a_model_comes_back(value: object, annotation: Any) -> None:
    CONVERTER.check_type(annotation)
    assert CONVERTER.decode(CONVERTER.encode(value, annotation), annotation) == value


@pytest.mark.parametrize(
    ("text", "annotation", "message"),
    [
        ('{"name":1,"price":"1"}', Item, "$.name: expected a valid string, got int"),
        ('{"name":"a"}', Item, "$.price: field 'price' is missing"),
        ('{"value":"1"}', Box[int], "$.value: expected a valid integer, got str"),
        ('{"value":1.0}', Box[int], "$.value: expected a valid integer, got float"),
        ('{"value":1}', Box[bool], "$.value: expected a valid boolean, got int"),
        ("[]", Item, "$: expected Item as an object, got list"),
        ('[{"name":"a","price":"x"}]', list[Item], "$[0].price: expected a valid decimal, got str"),
        (
            '{"value":[1,2,{"name":"a","price":[]}]}',
            Box[list[int | Item]],
            "$.value[2].int: expected a valid integer, got dict",
        ),
    ],
)
def test_stored_data_that_does_not_fit_a_model_is_refused(
    text: str, annotation: Any, message: str
) -> None:
    with pytest.raises(PayloadError) as info:
        CONVERTER.decode(Payload(JSON, text.encode()), annotation)
    assert str(info.value) == message


def test_the_place_goes_on_into_the_model() -> None:
    plain: Any = json.loads(CONVERTER.encode(Delivery(ORDER), Delivery).data)
    plain["order"]["items"].append({"name": 2, "price": "1"})
    stored = Payload(JSON, json.dumps(plain).encode())
    with pytest.raises(PayloadError, match=r"^\$\.order\.items\[1\]\.name: expected a valid str"):
        CONVERTER.decode(stored, Delivery)


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        ({"name": "a", "price": "1"}, Item, r"^\$: expected Item, got dict"),
        (Gift(name="a", price=Decimal(1)), Item, r"^\$: expected Item, got Gift"),
        (ITEM, Item | Order, "told apart"),
        (Secretive(code=1), Secretive, r"^\$\.code: field 'code' is missing"),
        (Box[float](value=float("nan")), Box[float], r"^\$\.value: float cannot be stored as JSON"),
        (Box[bytes](value=b"\xff"), Box[bytes], r"^\$: .*utf-8"),
    ],
    ids=str,
)
def test_a_model_that_would_not_come_back_is_refused(
    value: object, annotation: Any, message: str
) -> None:
    with pytest.raises(PayloadError, match=message):
        CONVERTER.encode(value, annotation)


def test_a_model_that_was_spoilt_after_it_was_made_is_refused() -> None:
    spoilt = ITEM.model_copy(update={"price": "1.50"})
    with pytest.raises(PayloadError, match=r"^\$\[0\]: .*price"):
        CONVERTER.encode([spoilt], list[Item])


def test_two_models_in_a_union_are_refused_early() -> None:
    with pytest.raises(TypeError, match="told apart"):
        CONVERTER.check_type(Item | Order)


def test_pydantic_is_not_imported_for_those_who_do_not_use_it() -> None:
    program = (
        "import sys; from aion_core.payloads import PayloadConverter;"
        "c = PayloadConverter(); c.check_type(dict[str, list[int] | None]);"
        "c.decode(c.encode([1], list[int]), list[int]);"
        "print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"
