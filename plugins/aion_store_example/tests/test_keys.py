"""Keys: in the order of what they are keys of, as far as they can be."""

from hypothesis import given
from hypothesis import strategies as st

from aion_store_example import keys


@given(st.text(), st.text(), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_keys_of_short_ids_are_in_the_order_of_the_ids(
    one: str, other: str, seq: int, other_seq: int
) -> None:
    by_key = keys.text(one) + keys.number(seq) < keys.text(other) + keys.number(other_seq)
    assert by_key == ((one, seq) < (other, other_seq))


@given(st.text(alphabet="\0\1\2ab"), st.text(alphabet="\0\1\2ab"))
def test_no_key_of_an_id_begins_another(one: str, other: str) -> None:
    assert keys.text(other).startswith(keys.text(one)) == (one == other)


def test_the_key_of_the_longest_id_leaves_room_for_another() -> None:
    assert 2 * len(keys.text("\U0010ffff" * 255)) + 16 <= 511
