"""Whatever is thrown at it, the engine answers or refuses with its own error; and both ways agree."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.fhirpath import FhirPathError, Limits, Options, compile_expression
from fhir_server.fhirpath.functions import FUNCTIONS

_NAMES = [
    "name", "given", "family", "use", "active", "birthDate", "contact", "gender", "period", "start", "end", "extension",
    "value", "url", "multipleBirth", "deceased", "contained", "Patient", "Resource", "text", "div", "id",
]  # fmt: skip
_LITERALS = [
    "true", "false", "0", "1", "-1", "2.50", "99999999999999999999", "'a'", "''", "'2020-01'", "'%'", "@2020",
    "@2020-02-29T10:00:00Z", "@T10:30", "4 days", "1 'kg'", "2 'x'", "{}", "$this", "$index", "$total", "%resource",
    "%context", "%ucum", "%nope",
]  # fmt: skip
_OPERATORS = [
    "=", "!=", "~", "!~", "<", ">", "<=", ">=", "+", "-", "*", "/", "div", "mod", "&", "and", "or", "xor", "implies",
    "|", "in", "contains",
]  # fmt: skip
_KEYS = (*_NAMES, "_given", "_birthDate", "valueString", "valueQuantity", "resourceType")
_TYPES = ("string", "Quantity", "HumanName", "Patient", "date", "System.String", "FHIR.boolean", "Nope")


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    call = st.builds(
        lambda source, name, arguments: f"{source}.{name}({', '.join(arguments)})",
        inner, st.sampled_from(sorted(FUNCTIONS)), st.lists(inner, max_size=2),
    )  # fmt: skip
    return st.one_of(
        call,
        st.builds("({}).{}".format, inner, st.sampled_from(_NAMES)),
        st.builds("({} {} {})".format, inner, st.sampled_from(_OPERATORS), inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(("is", "as")), st.sampled_from(_TYPES)),
        st.builds("({}).ofType({})".format, inner, st.sampled_from(_TYPES)),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("-({})".format, inner),
    )


expressions = st.recursive(st.sampled_from(_NAMES + _LITERALS), _grow, max_leaves=8)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.just(Decimal("1.50")), st.floats(allow_nan=False),
                    st.sampled_from(("a", "", "2020-01", "male", "kg", "#x", "Patient/1", "http://x.org")))  # fmt: skip
json = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(_KEYS), inner),
    ),
    max_leaves=15,
)  # fmt: skip


def _mostly(right: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(right, right, right, json)


_texts = st.sampled_from(("a", "b", "a b", ""))
_dates = st.sampled_from(("2020", "2020-02", "2020-02-29", "2020-02-29T10:00:00Z", "2020-02-29T12:00:00+02:00", "x"))
_extra = st.fixed_dictionaries({}, optional={"id": _texts, "extension": st.just([{"url": "a", "valueString": "b"}])})
_period = st.fixed_dictionaries(
    {}, optional={"start": _mostly(_dates), "end": _mostly(_dates), "_end": _mostly(_extra)}
)
_human_name = st.fixed_dictionaries(
    {},
    optional={
        "use": _mostly(_texts),
        "family": _mostly(_texts),
        "given": _mostly(st.lists(st.one_of(st.none(), _texts), max_size=3)),
        "_given": _mostly(st.lists(st.one_of(st.none(), _extra), max_size=3)),
        "period": _mostly(_period),
    },
)
_patient = st.fixed_dictionaries(
    {"resourceType": st.just("Patient")},
    optional={
        "name": _mostly(st.lists(_mostly(_human_name), max_size=3)),
        "active": _mostly(st.booleans()),
        "gender": _mostly(_texts),
        "birthDate": _mostly(_dates),
        "_birthDate": _mostly(_extra),
        "deceasedDateTime": _mostly(_dates),
        "multipleBirthInteger": _mostly(st.integers(0, 3)),
        "contact": _mostly(st.lists(st.fixed_dictionaries({}, optional={"name": _human_name}), max_size=2)),
        "extension": _mostly(st.just([{"url": "a", "valueQuantity": {"value": 1.5, "code": "kg"}}])),
        "contained": _mostly(st.just([{"resourceType": "Patient", "id": "a"}])),
    },
)
resources = st.one_of(_patient, _patient, _patient, json)
OPTIONS = Options(limits=Limits(items=2000, steps=20_000, seconds=1, text=20_000))


@settings(max_examples=200, deadline=None)
@given(expressions, resources)
def test_any_expression_on_any_json_is_answered_or_refused(expression: str, resource: Any) -> None:
    try:
        compile_expression(expression).evaluate(resource, options=OPTIONS)
    except FhirPathError as error:
        assert error.position is not None or "nested" in error.message


@settings(max_examples=200, deadline=None)
@given(expressions, resources)
def test_both_ways_agree_on_any_expression_and_json(expression: str, resource: Any) -> None:
    try:
        found = compile_expression(expression)
        general: Any = [n.value if n.value is not None else n.extra for n in found.evaluate(resource, options=OPTIONS)]
    except FhirPathError:
        return
    if "now()" not in expression and "timeOfDay()" not in expression:
        assert found.values(resource) == general


@given(st.text(alphabet="abc.()[]{}'`\"%$@|&=<>!~+-*/ \n\\0123456789T:", max_size=30))
def test_any_text_is_parsed_or_refused_with_a_position(text: str) -> None:
    try:
        compile_expression(text)
    except FhirPathError as error:
        assert error.position is not None
