"""The parameters of a URL become a tree, or an error that names the culprit."""

from typing import Any
from urllib.parse import parse_qsl

import pytest

from fhir_server.errors import BadRequest, BadValue, TooCostly, UnknownParameter, UnknownPath
from fhir_server.model.keys import ResourceKey
from fhir_server.search import query as q
from fhir_server.search.controls import ContainedType, Summary
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.search.parser import ParsedSearch, parse_search
from fhir_server.settings import Settings

REGISTRY = ParameterRegistry.standard()
NOW = 1_700_000_000_000


def parse(url: str, compartment: ResourceKey | None = None, **options: Any) -> ParsedSearch:
    type_, _, query = url.partition("?")
    settings = Settings.model_validate(options.pop("settings", {}))
    return parse_search(
        tuple(parse_qsl(query, keep_blank_values=True)),
        types=(type_,) if type_ else REGISTRY.types,
        registry=REGISTRY,
        settings=settings,
        visibility=options.pop("visibility", q.Visibility()),
        compartment=compartment,
        own_base="http://me/fhir",
        now=NOW,
        **options,
    )


def node(url: str, **options: Any) -> q.Node:
    return next(iter(parse(url, **options).search.branches.values()))


def token(param: str, *values: tuple[str | None, str | None]) -> q.Token:
    return q.Token(param, tuple(q.TokenValue(*value) for value in values))


TREES: list[tuple[str, q.Node]] = [
    ("Patient", q.And()),
    ("Patient?gender=male", token("gender", (None, "male"))),
    ("Patient?identifier=a|b,c,|d,e|", token("identifier", ("a", "b"), (None, "c"), ("", "d"), ("e", None))),
    ("Patient?identifier=a\\|b\\,c", token("identifier", (None, "a|b,c"))),
    ("Patient?identifier=a\\\\|b", token("identifier", ("a\\", "b"))),
    ("Patient?name=a\\$b\\n", q.String("name", q.StringMode.STARTS, ("a b n",))),
    ("Patient?name:exact=A,b", q.String("name", q.StringMode.EXACT, ("A", "b"))),
    ("Patient?gender=male&gender=female", q.And((token("gender", (None, "male")), token("gender", (None, "female"))))),
    ("Patient?gender:not=male", q.Not(token("gender", (None, "male")))),
    ("Patient?gender:missing=true", q.Missing("gender", True)),
    ("Patient?_id=a,b", q.Ids(("a", "b"))),
    ("Patient?_list=1", q.Has("List", "item", q.Ids(("1",)))),
    (
        "Patient?birthdate=ge1970",
        q.Date("birthdate", (q.DateValue(q.Prefix.GE, 0, 31_536_000_000_000),)),
    ),
    (
        "Patient?_lastUpdated=lt1970-01-01T00:00:01Z",
        q.LastUpdated((q.DateValue(q.Prefix.LT, 1_000_000, 2_000_000),)),
    ),
    (
        "Observation?subject=Patient/1,2,http://me/fhir/Group/3",
        q.Reference(
            "subject",
            (
                q.ReferenceValue("Patient", "1"),
                q.ReferenceValue(None, "2"),
                q.ReferenceValue("Group", "3"),
                q.ReferenceValue(url="http://me/fhir/Group/3"),
            ),
            ("Group", "Device", "Patient", "Location"),
        ),
    ),
    ("Observation?subject:Patient=1", q.Reference("subject", (q.ReferenceValue("Patient", "1"),), ("Patient",))),
    ("Observation?subject:identifier=a|b", q.ReferenceIdentifier("subject", (q.TokenValue("a", "b"),))),
    (
        "Observation?patient.name=x",
        q.Chain("patient", "Patient", q.String("name", q.StringMode.STARTS, ("x",))),
    ),
    (
        "Patient?_has:Observation:patient:code=1",
        q.Has("Observation", "patient", token("code", (None, "1"))),
    ),
    ("Patient?_text=a", q.FullText(False, "a")),
    ("Patient?_content=a,b", q.Or((q.FullText(True, "a"), q.FullText(True, "b")))),
    ("Location?near=1|2|3|km", q.Near("near", 1.0, 2.0, 3000.0)),
    ("ValueSet?url:below=http://a", q.Uri("url", q.StringMode.BELOW, ("http://a",))),
    ("Patient?_profile=http://a", q.Uri("_profile", q.StringMode.EXACT, ("http://a",))),
]


@pytest.mark.parametrize(("url", "expected"), TREES, ids=lambda value: str(value)[:70])
def test_a_query_is_read_as(url: str, expected: q.Node) -> None:
    assert node(url) == expected


REFUSED: list[tuple[str, type[BadRequest], str]] = [
    ("Patient?gendr=male", UnknownParameter, "did you mean gender"),
    ("Patient?zzzzzz=1", UnknownParameter, "'zzzzzz' of Patient"),
    ("Patient?gender:foo=male", UnknownParameter, ":foo"),
    ("Patient?name:not=x", UnknownParameter, ":not"),
    ("Patient?birthdate:exact=2000", UnknownParameter, ":exact"),
    ("Patient?gender:in=http://vs", UnknownParameter, "terminology"),
    ("Patient?gender=", BadValue, "empty"),
    ("Patient?gender=male,", BadValue, "empty"),
    ("Patient?gender=a|b|c", BadValue, "a|b|c"),
    ("Patient?gender=|", BadValue, "token"),
    ("Patient?gender:missing=maybe", BadValue, "true or false"),
    ("Patient?birthdate=1974-13", BadValue, "1974-13"),
    ("Patient?birthdate=1974-02-30", BadValue, "1974-02-30"),
    ("Patient?birthdate=xx1974", BadValue, "xx1974"),
    ("Patient?_id=a/b", BadValue, "a/b"),
    ("Patient?_lastUpdated=yesterday", BadValue, "yesterday"),
    ("RiskAssessment?probability=abc", BadValue, "abc"),
    ("Observation?value-quantity=5|mg", BadValue, "system|code"),
    ("Observation?code-value-quantity=a", BadValue, "$"),
    ("Observation?subject=Foo/1", BadValue, "Foo/1"),
    ("Observation?subject=Medication/1", BadValue, "never to Medication"),
    ("Observation?subject:Medication=1", BadValue, "Medication"),
    ("Observation?subject:Foo=1", UnknownParameter, "Foo"),
    ("Patient?link:below=1", UnknownParameter, "hierarchy"),
    ("Observation?subject:Patient.foo=1", UnknownParameter, "'foo' of Patient"),
    ("Observation?subject.foo=1", UnknownParameter, "foo"),
    ("Observation?code.name=1", UnknownParameter, "not a reference"),
    ("Observation?subject:Medication.code=1", UnknownParameter, "does not refer to"),
    ("Patient?_has:Foo:patient:code=1", UnknownParameter, "Foo"),
    ("Patient?_has:Observation:foo:code=1", UnknownParameter, "foo"),
    ("Patient?_has:Observation:code:code=1", UnknownParameter, "not a reference"),
    ("Patient?_has:Observation:encounter:code=1", UnknownParameter, "never to Patient"),
    ("Patient?_has:Observation:patient=1", UnknownParameter, "_has:Type:reference:parameter"),
    ("Patient?_has:Observation:patient:foo=1", UnknownParameter, "'foo' of Observation"),
    ("Patient?_list=$current-problems", BadValue, "functional"),
    ("Patient?_query=x", UnknownParameter, "_query"),
    ("Patient?_count=-1", BadValue, "_count"),
    ("Patient?_count=x", BadValue, "_count"),
    ("Patient?_count=1&_count=2", BadValue, "once"),
    ("Patient?_count:exact=1", UnknownParameter, "no modifier"),
    ("Patient?_total=some", BadValue, "none, estimate, accurate"),
    ("Patient?_summary=x", BadValue, "_summary"),
    ("Patient?_contained=x", BadValue, "_contained"),
    ("Patient?_elements=a,,b", BadValue, "_elements"),
    ("Patient?_sort=foo", UnknownParameter, "foo"),
    ("Patient?_sort=-", BadValue, "_sort"),
    ("Patient?_sort=_score", UnknownParameter, "_score"),
    ("Observation?_sort=code-value-quantity", BadValue, "no order"),
    ("Patient?_include=Patient:foo", UnknownParameter, "foo"),
    ("Patient?_include=Patient", BadValue, "Type:parameter"),
    ("Patient?_include=Patient:name", UnknownParameter, "not a reference"),
    ("Patient?_include=Foo:name", BadValue, "Foo"),
    ("Patient?_include=Patient:organization:Patient", BadValue, "never to Patient"),
    ("Patient?_include:foo=Patient:organization", UnknownParameter, ":foo"),
    ("Patient?_text=(", BadValue, "_text"),
    ("Patient?_text=...", BadValue, "_text"),
    ('Patient?_text="a', BadValue, "quotation"),
    ("Location?near=1", BadValue, "latitude"),
    ("Location?near=91|0|1|km", BadValue, "no such place"),
    ("Location?near=1|0|1|kg", BadValue, "distance"),
    ("Location?near=1|0|-1|km", BadValue, "distance"),
    ("Patient?identifier:of-type=a|b", BadValue, "system|code|value"),
    ("?name=x", UnknownParameter, "name"),
    ("?_type=Foo", BadValue, "Foo"),
    ("?_type=Patient,Observation&gender=male", UnknownParameter, "gender"),
]


@pytest.mark.parametrize(("url", "error", "words"), REFUSED, ids=lambda value: str(value)[:70])
def test_what_is_unknown_or_bad_is_refused_by_name(url: str, error: type[BadRequest], words: str) -> None:
    with pytest.raises(error) as caught:
        parse(url)
    assert words in str(caught.value)
    assert caught.value.status == 400
    assert caught.value.issues[0].expression[0].startswith("http.")


@pytest.mark.parametrize(("url", "error", "words"), REFUSED, ids=lambda value: str(value)[:70])
def test_a_lenient_reading_ignores_it_and_says_so(url: str, error: type[BadRequest], words: str) -> None:
    name, _, value = url.rpartition("?")[2].rpartition("&")[2].partition("=")
    parsed = parse(url, lenient=True)
    assert words in "".join(issue.diagnostics for issue in parsed.issues)
    assert all(issue.severity == "warning" for issue in parsed.issues)
    assert (name, value) not in parsed.applied


EASED: list[tuple[str, q.Node, str]] = [
    ("Patient?gender=&name=x", q.String("name", q.StringMode.STARTS, ("x",)), "gender has no value"),
    ("Patient?gendr=%20", q.EVERYTHING, "gendr has no value"),
    ("Patient?_sort=&_count=&_include=&_has:Observation:subject:code=", q.EVERYTHING, "_sort has no value"),
    (
        "Observation?encounter=Patient/1,Encounter/2",
        q.Reference(
            "encounter", (q.ReferenceValue("Patient", "1"), q.ReferenceValue("Encounter", "2")), ("Encounter",)
        ),
        "never to Patient",
    ),
    (
        "Observation?subject:Encounter=1",
        q.Reference("subject", (q.ReferenceValue("Encounter", "1"),), ("Encounter",)),
        "never to Encounter",
    ),
]


@pytest.mark.parametrize(("url", "expected", "said"), EASED, ids=lambda value: str(value)[:70])
def test_who_is_only_answered_is_not_refused_what_is_empty_or_impossible(url: str, expected: q.Node, said: str) -> None:
    parsed = parse(url, strict=False)
    assert next(iter(parsed.search.branches.values())) == expected
    assert said in parsed.issues[0].diagnostics
    assert {issue.severity for issue in parsed.issues} == {"warning"}
    assert all(value.strip() for _, value in parsed.applied)
    with pytest.raises(BadRequest):
        parse(url)


@pytest.mark.parametrize("url", ["Patient?gender=male,", "Patient?gendr=x", "Observation?subject=Foo/1"])
def test_what_cannot_be_read_is_refused_to_all(url: str) -> None:
    with pytest.raises(BadRequest):
        parse(url, strict=False)


def test_halves_of_characters_are_refused() -> None:
    for query in ((("name", "\ud800"),), (("name\udfff", "x"),), (("_sort", "\ud800"),)):
        with pytest.raises(BadValue) as caught:
            parse_search(
                query,
                types=("Patient",),
                registry=REGISTRY,
                settings=Settings.model_validate({}),
                visibility=q.Visibility(),
                now=NOW,
            )
        str(caught.value).encode()


def test_a_lenient_reading_applies_the_rest() -> None:
    parsed = parse("Patient?foo=1&gender=male&birthdate=x", lenient=True)
    assert parsed.applied == (("gender", "male"),)
    assert parsed.search.branches == {"Patient": token("gender", (None, "male"))}
    assert len(parsed.issues) == 2


def test_a_lenient_reading_holds_the_limits() -> None:
    with pytest.raises(TooCostly):
        parse("Patient?gender=a,b,c", lenient=True, settings={"max_or_values": 2})


LIMITS = [
    ("Patient?gender=a,b,c", {"max_or_values": 2}),
    ("Patient?gender=a&gender=b&gender=c", {"max_parameters": 2}),
    ("Organization?partof.partof.partof.name=x", {"max_chain": 2}),
    ("Patient?_has:Patient:link:_has:Patient:link:_has:Patient:link:name=x", {"max_chain": 2}),
    ("Patient?_filter=" + "not(" * 30 + "name eq x" + ")" * 30, {}),
    ("Patient?birthdate=1970,1971,1972", {"max_ranges": 2}),
    ("Patient?_sort=name,_id,gender", {"max_sort": 2}),
    ("Patient?_sort=name&_sort=_id,gender", {"max_sort": 2}),
    ("Patient?_filter=name eq a or name eq b or name eq c", {"max_filter": 2}),
    ("List?item.subject.subject.subject.subject.subject.name=x", {}),
]


@pytest.mark.parametrize(("url", "settings"), LIMITS, ids=lambda value: str(value)[:70])
def test_what_is_over_a_limit_is_too_costly(url: str, settings: dict[str, int]) -> None:
    with pytest.raises(TooCostly):
        parse(url, settings=settings)


def test_a_chain_as_long_as_the_limit_passes() -> None:
    assert isinstance(node("Organization?partof.partof.name=x", settings={"max_chain": 2}), q.Chain)


def test_an_untyped_chain_means_every_type_that_has_the_rest() -> None:
    found = node("Observation?subject.name=x")
    assert isinstance(found, q.Or)
    assert [chain.target for chain in found.nodes if isinstance(chain, q.Chain)] == ["Patient", "Location"]


def test_an_untyped_chain_takes_the_types_for_which_the_value_can_be_read() -> None:
    with pytest.raises(BadValue):
        parse("Observation?subject.birthdate=x")


def test_a_thousand_values_are_one_node() -> None:
    found = node("Patient?identifier=" + ",".join(map(str, range(1000))))
    assert isinstance(found, q.Token) and len(found.values) == 1000


def test_ap_widens_a_date_by_a_tenth_of_its_distance_from_now() -> None:
    found = node("Patient?birthdate=ap2013-11-14")
    assert isinstance(found, q.Date)
    value, day = found.values[0], 86_400_000_000
    exact = node("Patient?birthdate=2013-11-14")
    assert isinstance(exact, q.Date)
    distance = NOW * 1000 - exact.values[0].high
    assert exact.values[0].low - value.low == value.high - exact.values[0].high == distance // 10
    assert 364 * day < distance // 10 < 366 * day


def test_ap_widens_a_number_by_a_tenth() -> None:
    found = node("RiskAssessment?probability=ap-100")
    assert isinstance(found, q.Number)
    assert (found.values[0].low, found.values[0].high) == (-110.0, -90.0)


def test_a_blank_in_a_date_is_a_plus_that_was_not_encoded() -> None:
    assert node("Patient?death-date=2020-01-01T10:00:00+01:00") == node(
        "Patient?death-date=2020-01-01T10:00:00%2B01:00"
    )


def test_a_quantity_has_its_canonical_form_beside_it() -> None:
    found = node("Observation?value-quantity=gt70|http://unitsofmeasure.org|kg")
    assert isinstance(found, q.Quantity)
    grams = node("Observation?value-quantity=gt70000|http://unitsofmeasure.org|g")
    assert isinstance(grams, q.Quantity)
    mine, theirs = found.values[0].canonical, grams.values[0].canonical
    assert mine is not None and theirs is not None
    assert (mine[0].value, mine[1]) == (theirs[0].value, theirs[1])


def test_dates_without_a_zone_are_in_the_zone_of_the_settings() -> None:
    found = node("Patient?birthdate=1970-01-01", settings={"default_timezone": "Europe/Berlin"})
    assert isinstance(found, q.Date)
    assert found.values[0].low == -3_600_000_000


def test_a_parameter_for_many_types_must_be_known_to_each() -> None:
    assert set(parse("?_type=Patient,Practitioner&name=x").search.branches) == {"Patient", "Practitioner"}


def test_a_search_of_all_types_takes_the_parameters_of_all() -> None:
    parsed = parse("?_id=1&_tag=x&_lastUpdated=gt2020&_text=x&_content=y&_list=1")
    assert set(parsed.search.branches) == set(REGISTRY.types)


def test_a_compartment_is_a_part_of_each_branch() -> None:
    parsed = parse("Observation?code=1", ResourceKey("Patient", "x"))
    found = parsed.search.branches["Observation"]
    assert isinstance(found, q.And)
    assert isinstance(found.nodes[0], q.Or)
    assert {ref.param for ref in found.nodes[0].nodes if isinstance(ref, q.Reference)} == {"subject", "performer"}


def test_a_compartment_of_all_types_has_its_members_alone() -> None:
    branches = parse("", ResourceKey("Patient", "x")).search.branches
    assert len(branches) == 66
    assert "Medication" not in branches


@pytest.mark.parametrize(
    ("type_", "key"), [("Medication", ResourceKey("Patient", "x")), ("Patient", ResourceKey("Organization", "x"))]
)
def test_what_is_in_no_compartment_is_no_path(type_: str, key: ResourceKey) -> None:
    with pytest.raises(UnknownPath):
        parse(type_, key)


def test_controls_say_how_to_answer() -> None:
    parsed = parse(
        "Patient?_sort=-birthdate,_id&_count=7&_total=accurate&_summary=data&_elements=name,birthDate"
        "&_contained=both&_containedType=contained&__explain=true"
        "&_include:iterate=Patient:organization:Organization&_revinclude=Observation:*&_include=*"
    )
    search = parsed.search
    assert search.sort == (q.SortKey("birthdate", True), q.SortKey("_id"))
    assert (search.count, search.total, search.contained) == (7, q.Total.ACCURATE, q.Contained.BOTH)
    assert search.includes == (
        q.Include("Patient", "organization", "Organization", reverse=False, iterate=True),
        q.Include("Observation", "*", None, reverse=True),
        q.Include("*", "*"),
    )
    assert (parsed.summary, parsed.elements) == (Summary.DATA, ("name", "birthDate"))
    assert (parsed.contained_type, parsed.explain) == (ContainedType.CONTAINED, True)


def test_without_controls_the_settings_hold() -> None:
    search = parse("Patient").search
    assert (search.count, search.total, search.sort) == (50, q.Total.NONE, ())


def test_a_count_over_the_limit_is_lowered_and_said() -> None:
    parsed = parse("Patient?_count=5000&gender=male")
    assert parsed.search.count == 1000
    assert parsed.applied == (("_count", "1000"), ("gender", "male"))
    assert "1000" in parsed.issues[0].diagnostics
    assert parsed.issues[0].severity == "information"


@pytest.mark.parametrize("query", ["_count=0", "_summary=count", "_summary=count&_count=5", "_count=0&_total=none"])
def test_counting_asks_for_a_total_and_no_rows(query: str) -> None:
    search = parse(f"Patient?{query}&_include=Patient:organization").search
    assert (search.count, search.total, search.includes) == (0, q.Total.ACCURATE, ())


def test_applied_has_the_parameters_in_their_order_without_those_of_the_edge() -> None:
    parsed = parse("Patient?gender=male&_format=json&_pretty=true&_count=3&_page=abc&name=x")
    assert parsed.applied == (("gender", "male"), ("_count", "3"), ("name", "x"))
    assert parsed.page == "abc"


def test_the_fingerprint_is_that_of_the_query_not_of_the_page_or_format() -> None:
    mine = parse("Patient?gender=male").fingerprint
    assert mine == parse("Patient?gender=male&_page=abc&_format=xml").fingerprint
    others = [
        parse("Patient?gender=female"),
        parse("Practitioner?gender=male"),
        parse("Patient?gender=male&_sort=_id"),
        parse("Patient?gender=male", ResourceKey("Patient", "x")),
    ]
    assert mine not in {other.fingerprint for other in others}


def test_the_search_comes_restricted() -> None:
    visibility = q.Visibility(by_type={"Patient": q.Ids(("a",))})
    parsed = parse("Patient?gender=male", visibility=visibility)
    assert parsed.search.branches["Patient"] == q.And((q.Ids(("a",)), token("gender", (None, "male"))))
    assert parsed.search.visible == visibility


HOSTILE = [
    "Patient?name=" + "a" * 15_000,
    "Patient?name=" + "\\" * 15_001,
    "Patient?identifier=" + "|" * 15_000,
    "Patient?birthdate=" + "1" * 15_000,
    "RiskAssessment?probability=" + "9" * 15_000,
    "RiskAssessment?probability=1e999999999",
    "Observation?value-quantity=1|http://unitsofmeasure.org|" + "(" * 5_000,
    "Observation?value-quantity=1|http://unitsofmeasure.org|" + "m." * 5_000,
    "Observation?code-value-quantity=" + "$" * 15_000,
    "Observation?subject=" + "http://" + "a/" * 7_000,
    "Observation?" + "subject." * 1_500 + "name=x",
    "Patient?" + "_has:Observation:patient:" * 500 + "code=x",
    "Patient?_filter=" + "(" * 10_000,
    "Patient?_filter=" + "name eq x and " * 1_000 + "name eq x",
    "Patient?_filter=" + "not" * 5_000,
    "Patient?_filter=" + "a[" * 5_000,
    "Patient?_filter=" + '"' * 10_001,
    "Patient?_text=" + "(" * 10_000,
    "Patient?_text=" + "NOT " * 4_000 + "a",
    "Patient?_text=" + '"' * 10_000,
    "Patient?_sort=" + ",".join(["name"] * 3_000),
    "Patient?_elements=" + "a." * 7_000 + "!",
    "Patient?_include=" + ":" * 10_000,
    "Patient?_" + "x" * 15_000 + "=1",
    "Patient?" + "a" * 15_000 + "=1",
    "Patient?name=\x00",
    "Patient?name=\ud800",
    "Location?near=nan|nan",
    "Location?near=1|1|1e300|km",
]


@pytest.mark.parametrize("url", HOSTILE, ids=lambda url: url[:40])
def test_hostile_input_is_read_or_refused_in_milliseconds(url: str) -> None:
    import time

    parse("Observation?value-quantity=1|http://unitsofmeasure.org|kg")
    started = time.thread_time()
    try:
        parse(url, settings={"max_url": 20_000})
    except (BadRequest, TooCostly) as fault:
        assert len(str(fault)) < 2_000
    assert time.thread_time() - started < 0.5
