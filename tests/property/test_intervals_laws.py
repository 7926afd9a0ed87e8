"""Sets of numbers as intervals behave as sets, and numbering puts what is below a concept into its intervals."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.terminology.systems.intervals import Intervals
from fhir_server.terminology.systems.numbering import number

NUMBERS = st.sets(st.integers(0, 60), max_size=40)


@st.composite
def hierarchies(draw: st.DrawFn) -> list[list[int]]:
    """The parents of each node; circles are possible."""
    size = draw(st.integers(1, 25))
    return [sorted(draw(st.sets(st.integers(0, size - 1), max_size=3)) - {node}) for node in range(size)]


@given(NUMBERS, NUMBERS)
def test_intervals_are_sets(left: set[int], right: set[int]) -> None:
    one, other = Intervals.of_numbers(left), Intervals.of_numbers(right)
    assert list(one) == sorted(left)
    assert len(one) == len(left)
    assert one | other == Intervals.of_numbers(left | right)
    assert one & other == Intervals.of_numbers(left & right)
    assert one - other == Intervals.of_numbers(left - right)
    assert [each in one for each in range(62)] == [each in left for each in range(62)]
    assert Intervals.of_bytes(one.to_bytes()) == one


@given(NUMBERS, st.integers(0, 62), st.integers(1, 20))
def test_one_more_interval_is_joined_with_those_it_touches(numbers: set[int], first: int, size: int) -> None:
    found = Intervals.of_numbers(numbers).with_range(first, first + size)
    assert found == Intervals.of_numbers(numbers | set(range(first, first + size)))


@given(NUMBERS)
def test_bounds_rise_and_intervals_do_not_touch(numbers: set[int]) -> None:
    assert all(low < high for low, high in pairwise(Intervals.of_numbers(numbers).bounds))


@given(NUMBERS, st.integers(0, 45), st.integers(0, 45))
def test_a_slice_is_that_of_the_sorted_list(numbers: set[int], offset: int, count: int) -> None:
    assert list(Intervals.of_numbers(numbers).slice(offset, count)) == sorted(numbers)[offset : offset + count]


@given(hierarchies())
def test_numbering_holds_the_closure_of_what_is_left_of_the_hierarchy(parents: list[list[int]]) -> None:
    found = number(parents)
    assert sorted(found.number) == list(range(len(parents)))
    cut = set(found.cyclic)
    below = [{node} for node in range(len(parents))]
    for _ in parents:
        for node, above in enumerate(parents):
            for parent in above:
                if (node, parent) not in cut:
                    below[parent] |= below[node]
    for node in range(len(parents)):
        own = Intervals.of_pairs([(found.number[node], found.end[node])])
        assert own | Intervals.of_pairs(Intervals(found.more.get(node, ())).pairs()) == Intervals.of_numbers(
            found.number[each] for each in below[node]
        )


@given(hierarchies())
def test_edges_are_cut_only_where_there_is_a_circle(parents: list[list[int]]) -> None:
    rising = [[parent for parent in above if parent < node] for node, above in enumerate(parents)]
    assert number(rising).cyclic == []
