"""What others add to payloads: codecs for the bytes, converters for more types."""

from __future__ import annotations

import zlib
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest

from aion_core.errors import PayloadError
from aion_core.payloads import JSON, Payload, PayloadCodec, PayloadConverter


class Zipped(PayloadCodec):
    TYPE = "application/zlib"

    def encode(self, payload: Payload) -> Payload:
        head = payload.content_type.encode() + b"\n"
        return Payload(self.TYPE, zlib.compress(head + payload.data))

    def decode(self, payload: Payload) -> Payload:
        if payload.content_type != self.TYPE:
            return payload
        head, _, data = zlib.decompress(payload.data).partition(b"\n")
        return Payload(head.decode(), data)


class Sealed(PayloadCodec):
    """Never twice the same, as encryption is."""

    TYPE = "application/x-sealed"

    def __init__(self, key: int) -> None:
        self._key = key
        self._count = 0

    def encode(self, payload: Payload) -> Payload:
        self._count += 1
        whole = payload.content_type.encode() + b"\n" + payload.data
        head = bytes([self._key, self._count % 256])
        return Payload(self.TYPE, head + bytes(byte ^ self._key for byte in whole))

    def decode(self, payload: Payload) -> Payload:
        if payload.content_type != self.TYPE:
            return payload
        if payload.data[0] != self._key:
            raise PayloadError("the key that sealed it is not here")
        head, _, data = bytes(byte ^ self._key for byte in payload.data[2:]).partition(b"\n")
        return Payload(head.decode(), data)


class Broken(PayloadCodec):
    def encode(self, payload: Payload) -> Payload:
        raise OSError("no entropy")

    def decode(self, payload: Payload) -> Payload:
        return payload.data  # type: ignore[return-value]


def plain(text: str) -> Payload:
    return Payload(JSON, text.encode())


@pytest.mark.parametrize(
    "codecs", [[Zipped()], [Sealed(7)], [Zipped(), Sealed(7)]], ids=["zipped", "sealed", "both"]
)
def test_a_value_comes_back_through_codecs(codecs: list[PayloadCodec]) -> None:
    converter = PayloadConverter(codecs)
    payload = converter.encode([Decimal("1.50")], list[Decimal])
    assert converter.decode(payload, list[Decimal]) == [Decimal("1.50")]


def test_named_values_come_back_through_codecs() -> None:
    converter = PayloadConverter([Zipped()])
    payload = converter.encode_fields({"a": 1}, {"a": int})
    assert converter.decode_fields(payload, {"a": int}) == {"a": 1}


def test_the_last_codec_makes_what_is_stored() -> None:
    converter = PayloadConverter([Zipped(), Sealed(7)])
    assert converter.encode(1, int).content_type == Sealed.TYPE


def test_what_was_stored_before_a_codec_came_stays_readable() -> None:
    assert PayloadConverter([Zipped(), Sealed(7)]).decode(plain("1"), int) == 1


def test_what_a_codec_cannot_read_is_an_error_of_the_payload() -> None:
    payload = PayloadConverter([Sealed(7)]).encode(1, int)
    with pytest.raises(PayloadError, match="the key that sealed it is not here"):
        PayloadConverter([Sealed(8)]).decode(payload, int)


def test_a_damaged_payload_names_the_codec_that_stumbled() -> None:
    with pytest.raises(PayloadError, match="Zipped failed on a payload of type 'application/zlib'"):
        PayloadConverter([Zipped()]).decode(Payload(Zipped.TYPE, b"damaged"), int)


def test_a_codec_that_fails_stores_nothing() -> None:
    with pytest.raises(PayloadError, match=r"Broken failed .*OSError: no entropy"):
        PayloadConverter([Broken()]).encode(1, int)


def test_a_codec_that_gives_no_payload_is_named() -> None:
    with pytest.raises(PayloadError, match="Broken gave bytes, not a payload"):
        PayloadConverter([Broken()]).decode(plain("1"), int)


def test_without_its_codec_a_payload_is_refused_by_its_type() -> None:
    payload = PayloadConverter([Zipped()]).encode(1, int)
    with pytest.raises(PayloadError, match="application/zlib"):
        PayloadConverter().decode(payload, int)


def test_only_codecs_are_taken_as_codecs() -> None:
    with pytest.raises(TypeError, match="a payload codec is a PayloadCodec"):
        PayloadConverter([Zipped])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ('{"a":1,"b":[2]}', '{"b": [2], "a": 1}', True),
        ("1", "1", True),
        ("1", "true", False),
        ("1", "1.0", False),
        ("[1,2]", "[2,1]", False),
        ("{", "{", True),
        ("{", "{ ", False),
        ("[" * 100_000, "[" * 100_001, False),
    ],
    ids=lambda value: str(value)[:20],
)
def test_payloads_are_the_same_when_their_json_is(first: str, second: str, same: bool) -> None:
    assert PayloadConverter().same(plain(first), plain(second)) is same


def test_payloads_of_a_codec_are_compared_by_what_is_in_them() -> None:
    converter = PayloadConverter([Sealed(7)])
    first, second = converter.encode(1, int), converter.encode(1, int)
    assert first != second
    assert converter.same(first, second)


def test_a_payload_from_before_a_codec_is_compared_with_one_of_it() -> None:
    converter = PayloadConverter([Sealed(7)])
    assert converter.same(converter.encode([1], list[int]), plain("[1]"))


def test_payloads_that_cannot_be_read_are_not_the_same() -> None:
    sealed = PayloadConverter([Sealed(7)]).encode(1, int)
    assert not PayloadConverter([Sealed(8)]).same(sealed, plain("1"))


def fraction_to_plain(value: Fraction) -> list[int]:
    return [value.numerator, value.denominator]


def fraction_from_plain(value: Any) -> Fraction:
    if not (isinstance(value, list) and len(value) == 2):
        raise TypeError(f"expected numerator and denominator, got {value!r}")
    return Fraction(*value)


class Third(Fraction):
    __slots__ = ()


@attrs.frozen
class Recipe:
    parts: list[Fraction]


@attrs.frozen
class Dose:
    grams: int


@attrs.frozen
class Pack:
    dose: Dose


@pytest.fixture
def taught() -> PayloadConverter:
    converter = PayloadConverter()
    converter.register(Fraction, fraction_to_plain, fraction_from_plain)
    return converter


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (Fraction(1, 3), Fraction),
        (Recipe([Fraction(1, 3)]), Recipe),
        ({"a": Fraction(1, 3)}, dict[str, Fraction]),
        (None, Fraction | None),
        (Fraction(1, 3), Fraction | None),
    ],
    ids=str,
)
def test_a_value_of_a_registered_class_comes_back(
    taught: PayloadConverter, value: object, annotation: Any
) -> None:
    taught.check_type(annotation)
    assert taught.decode(taught.encode(value, annotation), annotation) == value


def test_a_class_may_be_registered_after_another_that_holds_it_was_stored() -> None:
    converter = PayloadConverter()
    before = converter.encode(Pack(Dose(1)), Pack)
    assert before.data == b'{"dose":{"grams":1}}'
    assert converter.decode(before, Pack) == Pack(Dose(1))
    converter.register(Dose, lambda dose: f"{dose.grams} g", lambda text: Dose(int(text[:-2])))
    stored = converter.encode(Pack(Dose(1)), Pack)
    assert stored.data == b'{"dose":"1 g"}'
    assert converter.decode(stored, Pack) == Pack(Dose(1))


def test_a_class_is_registered_with_one_converter_only(taught: PayloadConverter) -> None:
    with pytest.raises(TypeError, match="nothing is known of Fraction"):
        PayloadConverter().check_type(Fraction)


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        (0.5, Fraction, r"^\$: expected Fraction, got float"),
        (Third(1, 3), Fraction, r"^\$: expected Fraction, got Third"),
        (Recipe([Fraction(1), 2]), Recipe, r"^\$\.parts\[1\]: expected Fraction, got int"),  # type: ignore[list-item]
    ],
    ids=str,
)
def test_another_value_is_not_taken_for_a_registered_one(
    taught: PayloadConverter, value: object, annotation: Any, message: str
) -> None:
    with pytest.raises(PayloadError, match=message):
        taught.encode(value, annotation)


def test_what_a_registered_reader_refuses_has_its_place(taught: PayloadConverter) -> None:
    with pytest.raises(PayloadError, match=r"^\$\[1\]: expected numerator and denominator, got 3"):
        taught.decode(plain("[[1,2],3]"), list[Fraction])


def test_a_registered_writer_that_fails_has_its_place() -> None:
    converter = PayloadConverter()
    converter.register(Fraction, lambda value: 1 // 0, fraction_from_plain)
    with pytest.raises(PayloadError, match=r"^\$\[0\]: ZeroDivisionError"):
        converter.encode([Fraction(1)], list[Fraction])


def test_a_registered_writer_does_not_make_none_of_what_may_be_none() -> None:
    converter = PayloadConverter()
    converter.register(Fraction, lambda value: None, lambda value: Fraction(1))
    with pytest.raises(PayloadError, match="would come back as None"):
        converter.encode(Fraction(1), Fraction | None)


def test_a_registered_writer_makes_nothing_that_json_does_not_know() -> None:
    converter = PayloadConverter()
    converter.register(Fraction, lambda value: {1, 2}, lambda value: Fraction(1))
    with pytest.raises(PayloadError, match="set cannot be stored as JSON"):
        converter.encode(Fraction(1), Fraction)


def test_a_registered_reader_gives_exactly_its_class() -> None:
    converter = PayloadConverter()
    converter.register(Fraction, str, lambda value: 0.5)  # type: ignore[arg-type,return-value]
    with pytest.raises(PayloadError, match="registered for Fraction read float"):
        converter.encode(Fraction(1, 2), Fraction)


def test_a_registered_class_may_have_a_base_that_is_known() -> None:
    class Euro(Decimal):
        pass

    converter = PayloadConverter()
    converter.register(Euro, str, Euro)
    assert type(converter.decode(converter.encode(Euro(1), Euro), Euro)) is Euro


@pytest.mark.parametrize("annotation", [list[int], int | str, Any, "Fraction", 3], ids=str)
def test_only_classes_can_be_registered(annotation: Any) -> None:
    with pytest.raises(TypeError, match="only a class can be registered"):
        PayloadConverter().register(annotation, str, str)


@pytest.mark.parametrize("cls", [int, str, bool, type(None), Decimal, bytes, list, dict])
def test_a_stored_form_that_is_settled_stays(cls: type[Any]) -> None:
    with pytest.raises(TypeError, match="have a stored form already"):
        PayloadConverter().register(cls, str, cls)


def test_what_is_registered_are_functions() -> None:
    with pytest.raises(TypeError, match="Fraction needs two functions"):
        PayloadConverter().register(Fraction, str, "from_plain")  # type: ignore[arg-type]


def test_a_registered_class_is_alone_in_a_union(taught: PayloadConverter) -> None:
    with pytest.raises(TypeError, match="Fraction and int are stored alike"):
        taught.check_type(Fraction | int)
