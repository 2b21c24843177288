"""Residency: what goes first when there is no room for all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aion_runtime.residency import FEW, Residency


def test_nothing_goes_while_there_is_room() -> None:
    residency = Residency[str](100)
    residency.rest("a", 50, 1)
    residency.rest("b", 50, 1)
    assert residency.next_to_go() is None


def test_of_things_alike_the_one_that_has_rested_longest_goes_first() -> None:
    residency = Residency[str](100)
    residency.rest("a", 50, 1)
    residency.rest("b", 50, 1)
    residency.use("a")
    residency.rest("a", 50, 1)
    residency.rest("c", 50, 1)
    assert gone(residency) == ["b"]


def test_what_is_cheap_to_bring_back_goes_before_what_is_dear() -> None:
    residency = Residency[str](100)
    residency.rest("dear", 50, 1000)
    residency.rest("cheap", 50, 1)
    residency.rest("new", 50, 10)
    assert gone(residency) == ["cheap"]


def test_what_takes_much_memory_goes_before_what_takes_little() -> None:
    residency = Residency[str](1000)
    residency.rest("small", 50, 1)
    residency.rest("large", 900, 1)
    residency.rest("new", 100, 1)
    assert gone(residency) == ["large"]


def test_what_is_dear_goes_in_the_end_when_it_is_not_used() -> None:
    residency = Residency[str](100)
    residency.rest("dear", 50, 100)
    for number in range(1000):
        residency.rest(f"cheap {number}", 50, 1)
        if "dear" in gone(residency):
            break
    # A hundred times as dear as the others, it outlives a hundred of them, but not all.
    assert 100 < number < 300


def test_what_is_in_use_stays_and_counts() -> None:
    residency = Residency[str](100)
    residency.rest("a", 100, 1)
    residency.use("a")
    residency.rest("b", 1, 1)
    assert gone(residency) == ["b"]
    assert residency.next_to_go() is None


def test_what_rests_again_has_its_new_weight() -> None:
    residency = Residency[str](100)
    residency.rest("a", 60, 1)
    residency.rest("a", 100, 1)
    assert residency.used == 100


def test_with_no_room_at_all_everything_goes_that_rests() -> None:
    residency = Residency[str](0)
    residency.rest("a", 1, 1)
    assert gone(residency) == ["a"]
    assert (residency.used, len(residency)) == (0, 0)


def test_what_is_used_often_does_not_pile_up() -> None:
    residency = Residency[str](1000)
    for _ in range(10 * FEW):
        residency.use("a")
        residency.rest("a", 1, 1)
    assert len(residency._heap) <= FEW + 2


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["rest", "use", "drop"]),
        st.sampled_from("abcdef"),
        st.integers(1, 60),
        st.integers(0, 9),
    )
)


@given(STEPS)
def test_after_any_use_there_is_room_or_all_is_in_use(
    steps: list[tuple[str, str, int, int]],
) -> None:
    residency = Residency[str](100)
    weights: dict[str, int] = {}
    in_use: set[str] = set()
    for what, key, weight, cost in steps:
        if what == "rest":
            residency.rest(key, weight, cost)
            weights[key] = weight
            in_use.discard(key)
        elif what == "use" and key in weights:
            residency.use(key)
            in_use.add(key)
        elif what == "drop":
            residency.drop(key)
            weights.pop(key, None)
            in_use.discard(key)
        for went in gone(residency):
            assert went not in in_use
            del weights[went]
        assert residency.used == sum(weights.values())
        assert residency.used <= 100 or set(weights) == in_use


def gone(residency: Residency[str]) -> list[str]:
    found = []
    while (key := residency.next_to_go()) is not None:
        residency.drop(key)
        found.append(key)
    return found
