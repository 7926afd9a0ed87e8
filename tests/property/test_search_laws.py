"""Laws that hold for every search value: bounds, prefixes, escapes, page links, filters, restrictions."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.search import query as q
from fhir_server.search.asked import split, unescape
from fhir_server.search.compare import date_law, number_law, satisfies
from fhir_server.search.fulltext import contains_text, parse_text
from fhir_server.search.links import PageLink, decode_link, encode_link
from fhir_server.search.parse_tokens import token_value
from fhir_server.search.parser import parse_search
from fhir_server.search.restrict import restrict
from fhir_server.search.values import date_bounds, fold, number_range
from fhir_server.settings import Settings
from fhir_server.storage.memory import MemoryStore
from tests.conformance.storage.world import BASE, EXTRACTOR, START, change
from tests.property.strategies_search import Resource, resources, searches

intervals = st.tuples(st.integers(-50, 50), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))
numbers = st.integers(-20, 20).map(float)


def held(law: Any, low: float, high: float) -> bool:
    return satisfies(law, low, high)


# --- dates

moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001


@given(moments)
def test_a_coarser_date_holds_every_finer_one(moment: datetime) -> None:
    text = moment.isoformat(timespec="milliseconds") + "Z"
    bounds = [date_bounds(part) for part in (text[:4], text[:7], text[:10], text[:16] + "Z", text[:19] + "Z", text)]
    for (low, high), (inner_low, inner_high) in pairwise(bounds):
        assert low <= inner_low < inner_high <= high


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_a_zone_moves_the_bounds_by_its_offset(moment: datetime, minutes: int) -> None:
    text = moment.isoformat(timespec="seconds")
    sign, ahead = ("-" if minutes < 0 else "+"), abs(minutes)
    low, high = date_bounds(f"{text}{sign}{ahead // 60:02}:{ahead % 60:02}")
    plain = date_bounds(f"{text}Z")
    assert (low + minutes * 60_000_000, high + minutes * 60_000_000) == plain


@given(st.dates(date(1, 1, 1), date(9999, 12, 30)))
def test_days_follow_one_another_without_gap(day: date) -> None:
    assert date_bounds(day.isoformat())[1] == date_bounds((day + timedelta(1)).isoformat())[0]


@given(intervals, intervals)
def test_laws_of_dates(search: tuple[int, int], row: tuple[int, int]) -> None:
    by = {p: held(date_law(q.DateValue(p, *search)), *row) for p in q.Prefix}
    assert by[q.Prefix.NE] is not by[q.Prefix.EQ]
    assert by[q.Prefix.GE] == (by[q.Prefix.GT] or by[q.Prefix.EQ])
    assert by[q.Prefix.LE] == (by[q.Prefix.LT] or by[q.Prefix.EQ])
    assert by[q.Prefix.GE] or by[q.Prefix.LE]
    assert by[q.Prefix.GT] >= by[q.Prefix.SA] and by[q.Prefix.LT] >= by[q.Prefix.EB]
    assert by[q.Prefix.AP] >= by[q.Prefix.EQ]
    assert by[q.Prefix.AP] + by[q.Prefix.SA] + by[q.Prefix.EB] == 1


@given(intervals, intervals, st.integers(-1000, 1000))
def test_laws_of_dates_do_not_depend_on_where_time_begins(
    search: tuple[int, int], row: tuple[int, int], shift: int
) -> None:
    for prefix in q.Prefix:
        here = held(date_law(q.DateValue(prefix, *search)), *row)
        moved = q.DateValue(prefix, search[0] + shift, search[1] + shift)
        assert held(date_law(moved), row[0] + shift, row[1] + shift) is here


# --- numbers


@given(st.decimals(-1_000_000, 1_000_000, allow_nan=False, places=3).map(str))
def test_the_range_of_a_number_holds_the_number(text: str) -> None:
    value, low, high = number_range(text)
    assert low < value < high
    assert value == float(text)


@given(numbers, st.floats(0.1, 5), numbers, st.floats(0, 5))
def test_laws_of_numbers(value: float, half: float, low: float, width: float) -> None:
    high = low + width
    by = {p: held(number_law(q.NumberValue(p, value, value - half, value + half)), low, high) for p in q.Prefix}
    assert by[q.Prefix.NE] is not by[q.Prefix.EQ]
    assert by[q.Prefix.GE] >= by[q.Prefix.GT] >= by[q.Prefix.SA]
    assert by[q.Prefix.LE] >= by[q.Prefix.LT] >= by[q.Prefix.EB]
    assert by[q.Prefix.GE] or by[q.Prefix.LE]
    assert by[q.Prefix.SA] is not by[q.Prefix.LE]
    assert by[q.Prefix.EB] is not by[q.Prefix.GE]
    if low == high:
        assert by[q.Prefix.GT] + by[q.Prefix.LT] + (value == low) == 1
        assert by[q.Prefix.GE] is not by[q.Prefix.LT]


# --- text

plain = st.text(alphabet=st.sampled_from("ab,|$\\é "), max_size=12)


def escape(text: str) -> str:
    for character in "\\,|$":
        text = text.replace(character, "\\" + character)
    return text


@given(st.lists(plain, min_size=1, max_size=4), st.sampled_from(",|$"))
def test_escaped_parts_come_back(parts: list[str], separator: str) -> None:
    joined = separator.join(map(escape, parts))
    assert [unescape(part) for part in split(joined, separator)] == parts


@given(plain, plain.filter(bool))
def test_escaped_tokens_come_back(system: str, code: str) -> None:
    assert token_value(f"{escape(system)}|{escape(code)}") == q.TokenValue(system, code)


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_text_queries_are_refused_or_answered(text: str, query: str) -> None:
    try:
        parse_text(query)
    except ValueError:
        return
    assert contains_text(text, query) in (True, False)


# --- page links

sort_values = st.one_of(
    st.none(), st.text(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=True)
)
links = st.builds(
    PageLink,
    st.builds(q.Cursor, st.integers(0, 2**62), st.lists(sort_values, max_size=4).map(tuple), st.integers(0, 2**62)),
    st.text(max_size=30),
    st.integers(0, 2**50),
)


@given(links, st.binary(min_size=1))
def test_links_come_back_as_they_were(link: PageLink, secret: bytes) -> None:
    found = decode_link(encode_link(link, secret), secret)
    assert found == link
    assert list(map(type, found.cursor.values)) == list(map(type, link.cursor.values))


# --- filters


@st.composite
def filters(draw: st.DrawFn, depth: int = 3) -> tuple[str, q.Node]:
    """Give the text of a filter on Patient and the tree that it means."""
    way = draw(st.sampled_from(("test", "not", "and", "or", "chain") if depth else ("test",)))
    if way == "test":
        code = draw(st.sampled_from(("x", "y|z")))
        value = q.TokenValue(None, code) if "|" not in code else q.TokenValue(*code.split("|"))
        return f"identifier eq {code}", q.Token("identifier", (value,))
    if way == "chain":
        text, node = draw(filters(0))
        inner, condition = draw(filters(depth - 1))
        return f"link[{inner}].{text}", q.Chain("link", "Patient", q.And((condition, node)))
    left, left_node = draw(filters(depth - 1))
    if way == "not":
        return f"not({left})", q.Not(left_node)
    right, right_node = draw(filters(depth - 1))
    join = q.And if way == "and" else q.Or
    return f"({left}) {way} ({right})", join((left_node, right_node))


@given(filters())
def test_filters_are_read_as_they_were_written(written: tuple[str, q.Node]) -> None:
    text, expected = written
    found = _parse((("Patient",), (("_filter", text),))).branches["Patient"]
    assert _only_patient(found) == expected


def _only_patient(node: q.Node) -> q.Node:
    """`link` may refer to a RelatedPerson too, for which the parser makes an alternative."""
    if isinstance(node, q.And):
        return q.And(tuple(map(_only_patient, node.nodes)))
    if isinstance(node, q.Not):
        return q.Not(_only_patient(node.node))
    if isinstance(node, q.Chain):
        return replace(node, node=_only_patient(node.node))
    if isinstance(node, q.Or):
        chains = [n for n in node.nodes if isinstance(n, q.Chain)]
        if len({n.target for n in chains}) == len(node.nodes) > 1:
            return _only_patient(next(n for n in chains if n.target == "Patient"))
        return q.Or(tuple(map(_only_patient, node.nodes)))
    return node


# --- restrictions

VISIBILITIES = st.sampled_from(
    (
        q.Visibility(q.Not(q.Ids(("1",)))),
        q.Visibility(by_type={"Patient": q.Ids(("0", "2"))}),
        q.Visibility(q.NOTHING, {"Observation": q.EVERYTHING}),
        q.Visibility(by_type={"Observation": q.Token("status", (q.TokenValue(None, "final"),)), "List": q.NOTHING}),
    )
)


def _parse(asked: Any, visibility: q.Visibility | None = None) -> q.Search:
    types, query = asked
    return parse_search(
        query,
        types=types,
        registry=EXTRACTOR.registry,
        settings=Settings.model_validate({}),
        visibility=visibility or q.Visibility(),
        own_base=BASE,
        now=START,
    ).search


async def _answers(batch: list[Resource], search: q.Search) -> tuple[list[Any], list[Any]]:
    store = MemoryStore(Settings.model_validate({}), lambda: START)
    await store.commit([change(resource) for resource in batch])
    page = await store.search(replace(search, count=1_000))
    containers = page.containers or (None,) * len(page.versions)
    matches = [(v.key, c) for v, c in zip(page.versions, containers, strict=True)]
    return matches, sorted(v.key for v in page.included)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(resources, min_size=1, max_size=12, unique_by=lambda r: (r["resourceType"], r["id"])),
    searches(),
    VISIBILITIES,
)
def test_a_restricted_search_answers_as_if_the_hidden_were_not_there(
    batch: list[Resource], asked: Any, visibility: q.Visibility
) -> None:
    everything = q.Search({r["resourceType"]: q.EVERYTHING for r in batch})
    with asyncio.Runner() as runner:
        visible = {key for key, _ in runner.run(_answers(batch, restrict(everything, visibility)))[0]}
        rest = [r for r in batch if (r["resourceType"], r["id"]) in visible]
        restricted = runner.run(_answers(batch, _parse(asked, visibility)))
        # The predicates of VISIBILITIES look at single resources, so that a contained one is judged alike in both.
        alone = runner.run(_answers(rest, _in_contained(_parse(asked), visibility)))
    assert restricted == alone
    assert {key for key, _ in restricted[0]} <= visible


def _in_contained(search: q.Search, visibility: q.Visibility) -> q.Search:
    """What is contained in a visible resource is judged by the predicate of its own type too."""
    return replace(restrict(search, visibility), visible=q.Visibility())


@given(st.integers(0, 2**40))
def test_instants_are_dates(milliseconds: int) -> None:
    text = (
        datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{milliseconds % 1000:03}Z"
    )
    assert date_bounds(text) == (milliseconds * 1000, milliseconds * 1000 + 1000)
