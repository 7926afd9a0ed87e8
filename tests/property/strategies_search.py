"""Random resources over a small vocabulary, and random searches that have a chance to find some of them."""

from typing import Any

from hypothesis import strategies as st

Resource = dict[str, Any]
UCUM = "http://unitsofmeasure.org"

IDS = ("0", "1", "2", "3")
WORDS = ("Ann", "anna", "Bób", "bob", "O'Neil", "o neil", "Zoë-Ann", "ﬁn", "a", "_%", "[x]*")
SYSTEMS = ("urn:a", "urn:b", None)
CODES = ("x", "x", "y", "X", "x|y,")
DATES = (
    "1999", "2000", "2000-02", "2000-02-29", "2000-02-29T10:00:00Z", "2000-02-29T10:00:00.500+02:00",
    "2000-03-01T00:00:00Z", "2001-01-01", "2000-12-31T23:59:59.999Z",
)  # fmt: skip
NUMBERS = ("0", "1", "-1", "5.4", "5.40", "100", "1e2", "99.6", "0.001", "-2.5")
UNITS = ("kg", "g", "mg", "mm[Hg]", "widget", "")
URLS = (
    "http://a.org/fhir",
    "http://a.org/fhir/X/1",
    "http://a.org/fhir/X/12",
    "http://a.org/",
    "urn:oid:1.2",
    "http://b.org/x|2",
)
LATITUDES = (0.0, 0.01, 50.94, -89.9, 50.0)
LONGITUDES = (0.0, 0.01, 6.95, 179.99, -179.99)

ids = st.sampled_from(IDS)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give a value or, less often, nothing."""
    return st.one_of(strategy, strategy, strategy, st.none())


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Give a short list or, less often, nothing."""
    return st.one_of(st.lists(strategy, min_size=1, max_size=2), st.lists(strategy, min_size=1, max_size=2), st.none())


def _element(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Resource]:
    """Give an object of the members that are not None."""
    return st.fixed_dictionaries(members).map(lambda made: {k: v for k, v in made.items() if v not in (None, "")})


def full(strategy: st.SearchStrategy[Resource]) -> st.SearchStrategy[Resource]:
    """Leave out empty objects."""
    return strategy.filter(bool)


systems = st.sampled_from(SYSTEMS)
texts = st.sampled_from(WORDS)
coding = full(_element(system=systems, code=maybe(st.sampled_from(CODES)), display=maybe(texts)))
concept = full(_element(coding=some(coding), text=maybe(texts)))
identifier = full(_element(system=systems, value=st.sampled_from(CODES), type=maybe(concept)))
name = full(_element(family=maybe(texts), given=some(texts)))
period = full(_element(start=maybe(st.sampled_from(DATES)), end=maybe(st.sampled_from(DATES))))
quantity = _element(
    value=st.sampled_from(NUMBERS).map(float),
    comparator=st.sampled_from((None, None, None, "<", ">=", ">", "<=")),
    system=st.sampled_from((UCUM, UCUM, "urn:u", None)),
    code=st.sampled_from(UNITS),
    unit=st.sampled_from(("", "kilo")),
)


def reference(*types: str) -> st.SearchStrategy[Resource]:
    """Give a Reference to one of few resources, here or elsewhere, by identifier, or into the container."""
    local = st.tuples(st.sampled_from(types), ids).map("/".join)
    versioned = local.map(lambda text: f"{text}/_history/1")
    own = local.map(lambda text: f"http://example.org/fhir/{text}")
    other = local.map(lambda text: f"http://elsewhere.org/{text}")
    text = st.one_of(local, local, local, local, versioned, own, other, st.just("#c"))
    return full(
        _element(reference=maybe(text), identifier=st.one_of(st.none(), st.none(), identifier), display=maybe(texts))
    )


def resource(type_: str, **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Resource]:
    """Give a resource of a type with one of few ids."""
    return _element(resourceType=st.just(type_), id=ids, **members)


meta = st.one_of(
    st.none(),
    full(_element(tag=some(coding), source=maybe(st.sampled_from(URLS)), profile=some(st.sampled_from(URLS)))),
)
patients = resource(
    "Patient",
    meta=meta,
    active=maybe(st.booleans()),
    gender=maybe(st.sampled_from(("male", "female", "unknown"))),
    birthDate=maybe(st.sampled_from(DATES[:4])),
    name=some(name),
    identifier=some(identifier),
    managingOrganization=maybe(reference("Organization")),
    generalPractitioner=some(reference("Organization", "Practitioner")),
    link=some(reference("Patient").map(lambda other: {"other": other, "type": "seealso"})),
)
organizations = resource(
    "Organization", active=maybe(st.booleans()), name=maybe(texts), partOf=maybe(reference("Organization"))
)
locations = resource(
    "Location",
    name=maybe(texts),
    position=maybe(
        _element(latitude=st.sampled_from(LATITUDES), longitude=st.sampled_from(LONGITUDES)).filter(
            lambda p: len(p) == 2
        )
    ),
)
contained_patient = patients.map(lambda made: {k: v for k, v in made.items() if k != "meta"} | {"id": "c"})
observations = resource(
    "Observation",
    meta=meta,
    contained=st.one_of(st.none(), st.none(), contained_patient.map(lambda made: [made])),
    status=st.sampled_from(("final", "preliminary")),
    code=maybe(concept),
    subject=maybe(reference("Patient", "Group")),
    performer=some(reference("Organization", "Patient")),
    hasMember=some(reference("Observation")),
    effectiveDateTime=maybe(st.sampled_from(DATES)),
    valueQuantity=maybe(quantity),
    component=some(_element(code=concept, valueQuantity=quantity)),
)
encounters = resource("Encounter", status=st.just("planned"), period=maybe(period), subject=maybe(reference("Patient")))
risks = resource(
    "RiskAssessment",
    status=st.just("final"),
    subject=maybe(reference("Patient")),
    prediction=some(_element(probabilityDecimal=st.sampled_from(NUMBERS).map(float))),
)
lists = resource("List", status=st.just("current"), entry=some(_element(item=reference("Patient", "Observation"))))
value_sets = resource("ValueSet", status=st.just("active"), url=maybe(st.sampled_from(URLS[:5])), name=maybe(texts))

_KINDS = (
    patients, patients, patients, observations, observations, observations, observations, organizations, locations,
    encounters, risks, lists, value_sets,
)  # fmt: skip


def _without_dangling(value: Any) -> Any:
    """Let references into a container that holds nothing go to a resource instead: validation refuses them."""
    if isinstance(value, dict):
        return {name: _without_dangling(child) for name, child in value.items()}
    if isinstance(value, list):
        return [_without_dangling(child) for child in value]
    return "Patient/0" if value == "#c" else value


@st.composite
def _resource(draw: st.DrawFn) -> Resource:
    made: Resource = draw(draw(st.sampled_from(range(len(_KINDS))).map(_KINDS.__getitem__)))
    return made if "contained" in made else _without_dangling(made)


resources = _resource()

populations = st.lists(resources, min_size=12, max_size=20, unique_by=lambda r: (r["resourceType"], r["id"]))

TYPES = ("Patient", "Observation", "Organization", "Location", "Encounter", "RiskAssessment", "List", "ValueSet")


# --- searches


def _escape(text: str) -> str:
    for character in "\\,|$":
        text = text.replace(character, "\\" + character)
    return text


def one_or_more(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Give one value, or an OR list."""
    return st.one_of(values, values, st.lists(values, min_size=2, max_size=3).map(",".join))


words = st.sampled_from((*WORDS, "a", "b", "an", "ANN", "o")).map(_escape)
prefixes = st.sampled_from(("", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"))
codes = st.sampled_from(CODES).map(_escape)
tokens = st.one_of(
    codes,
    st.tuples(st.sampled_from(("urn:a", "urn:b", "")), codes).map("|".join),
    st.sampled_from(("urn:a|", "urn:b|")),
)
dates = st.tuples(prefixes, st.sampled_from(DATES)).map("".join)
numbers = st.tuples(prefixes, st.sampled_from(NUMBERS)).map("".join)
quantities = st.one_of(
    numbers,
    st.tuples(numbers, st.sampled_from((UCUM, "urn:u", "")), st.sampled_from(UNITS[:5])).map("|".join),
)
urls = st.sampled_from(URLS)


def _pairs(names: tuple[str, ...], values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.sampled_from(names), one_or_more(values))


def _missing(*names: str) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.sampled_from(names).map("{}:missing".format), st.sampled_from(("true", "false")))


def _references(names: tuple[str, ...], *types: str) -> st.SearchStrategy[tuple[str, str]]:
    local = st.tuples(st.sampled_from(types), ids).map("/".join)
    forms = st.one_of(
        local,
        ids,
        local.map("http://example.org/fhir/{}".format),
        local.map("http://elsewhere.org/{}".format),
        local.map("{}/_history/1".format),
    )
    return st.one_of(
        _pairs(names, forms),
        _pairs(tuple(f"{name}:identifier" for name in names), tokens),
        _pairs(tuple(f"{name}:{types[0]}" for name in names), ids),
        _pairs(tuple(f"{name}:text" for name in names), words),
    )


quoted = st.sampled_from((*WORDS, "a", "an", "il")).map('"{}"'.format)
tests = st.one_of(
    st.tuples(
        st.sampled_from(("name", "given", "organization.name")), st.sampled_from(("eq", "co", "sw", "ew", "ne")), quoted
    ),
    st.tuples(
        st.sampled_from(("gender", "link.gender")), st.sampled_from(("eq", "ne")), st.sampled_from(("male", "female"))
    ),
    st.tuples(st.just("birthdate"), st.sampled_from(("eq", "ge", "lt", "po", "ne")), st.sampled_from(DATES[:4])),
    st.tuples(st.sampled_from(("gender", "name", "link")), st.just("pr"), st.sampled_from(("true", "false"))),
    st.tuples(st.just("link[active eq true].name"), st.just("sw"), quoted),
).map(" ".join)
filters = st.recursive(
    tests,
    lambda inner: st.one_of(
        inner.map("not({})".format),
        st.tuples(inner, st.sampled_from((" and ", " or ")), inner).map("".join).map("({})".format),
    ),
    max_leaves=4,
)

STRINGS = ("{0}", "{0}", "{0}:contains", "{0}:exact")
TOKENS = ("{0}", "{0}", "{0}:not", "{0}:text")


def _forms(forms: tuple[str, ...], *names: str) -> tuple[str, ...]:
    return tuple(form.format(name) for form in forms for name in names)


CRITERIA: dict[str, st.SearchStrategy[tuple[str, str]]] = {
    "Patient": st.one_of(
        _pairs(_forms(STRINGS, "name", "family", "given"), words),
        _pairs(("gender", "gender:not"), st.sampled_from(("male", "female", "unknown"))),
        _pairs(("active",), st.sampled_from(("true", "false"))),
        _pairs(_forms(TOKENS[:3], "identifier"), tokens),
        _pairs(("birthdate",), dates),
        _references(("organization",), "Organization"),
        _references(("general-practitioner",), "Organization", "Practitioner"),
        _references(("link",), "Patient"),
        st.tuples(st.just("identifier:of-type"), st.sampled_from(("urn:a|x|x", "urn:b|x|y"))),
        _missing("name", "gender", "identifier", "organization", "link", "_profile", "_tag"),
    ),
    "Observation": st.one_of(
        _pairs(_forms(TOKENS, "code", "combo-code", "component-code"), tokens),
        _pairs(("status", "status:not"), st.sampled_from(("final", "preliminary"))),
        _pairs(("date",), dates),
        _pairs(("value-quantity", "component-value-quantity", "combo-value-quantity"), quantities),
        _pairs(
            ("code-value-quantity", "combo-code-value-quantity", "component-code-value-quantity"),
            st.tuples(tokens, quantities).map("$".join),
        ),
        _pairs(("code-value-date",), st.tuples(tokens, dates).map("$".join)),
        _references(("subject",), "Patient", "Group"),
        _references(("patient",), "Patient"),
        _references(("performer",), "Organization", "Patient"),
        _references(("has-member",), "Observation"),
        _missing("code", "date", "value-quantity", "subject", "patient", "performer"),
    ),
    "Organization": st.one_of(
        _pairs(_forms(STRINGS, "name"), words),
        _pairs(("active",), st.sampled_from(("true", "false"))),
        _references(("partof",), "Organization"),
        _pairs(("partof:below", "partof:above"), ids),
        _missing("name", "partof"),
    ),
    "Location": st.one_of(
        _pairs(_forms(STRINGS, "name"), words),
        st.tuples(
            st.just("near"),
            st.tuples(
                st.sampled_from(LATITUDES).map(str),
                st.sampled_from(LONGITUDES).map(str),
                st.sampled_from(("0", "2", "3000", "20100")),
                st.just("km"),
            ).map("|".join),
        ),
        _missing("near", "name"),
    ),
    "Encounter": st.one_of(_pairs(("date",), dates), _references(("subject",), "Patient"), _missing("date")),
    "RiskAssessment": st.one_of(
        _pairs(("probability",), numbers), _references(("subject",), "Patient"), _missing("probability")
    ),
    "List": st.one_of(_references(("item",), "Patient", "Observation"), _missing("item")),
    "ValueSet": st.one_of(
        _pairs(("url", "url:below", "url:above"), urls), _pairs(_forms(STRINGS, "name"), words), _missing("url")
    ),
}

COMMON = st.one_of(
    _pairs(("_id", "_id:not"), ids),
    _pairs(("_tag", "_tag:not"), tokens),
    _pairs(("_source", "_profile", "_profile:below", "_source:above"), urls),
    st.tuples(st.just("_lastUpdated"), st.sampled_from(("gt2000", "lt2000", "2023", "ge2023-11-14T22:13:20.004Z"))),
    st.tuples(st.sampled_from(("_list", "_list:not")), ids),
    st.tuples(st.just("_content"), st.sampled_from(("ann", "an*", "NOT bob", "ann OR bob", '"o neil"'))),
)

LINKS = {
    "Patient": (("organization", "Organization"), ("general-practitioner", "Organization"), ("link", "Patient")),
    "Observation": (
        ("subject", "Patient"),
        ("patient", "Patient"),
        ("performer", "Organization"),
        ("has-member", "Observation"),
    ),
    "Organization": (("partof", "Organization"),),
    "Encounter": (("subject", "Patient"),),
    "RiskAssessment": (("subject", "Patient"),),
    "List": (("item", "Patient"), ("item", "Observation")),
}
REFERRERS: dict[str, list[tuple[str, str]]] = {}
for _source, _links in LINKS.items():
    for _param, _target in _links:
        REFERRERS.setdefault(_target, []).append((_source, _param))


@st.composite
def criteria(draw: st.DrawFn, type_: str, depth: int = 2) -> tuple[str, str]:
    """Give one criterion of a type, often chained forwards or backwards."""
    ways = ["plain", "plain", "plain", "plain", "common"]
    ways += ["chain"] if depth and type_ in LINKS else []
    ways += ["has"] if depth and type_ in REFERRERS else []
    ways += ["filter"] if depth == 2 and type_ == "Patient" else []
    way = draw(st.sampled_from(ways))
    if way == "filter":
        return "_filter", draw(filters)
    if way == "chain":
        param, target = draw(st.sampled_from(LINKS[type_]))
        name_, value = draw(criteria(target, depth - 1))
        return f"{param}:{target}.{name_}", value
    if way == "has":
        source, param = draw(st.sampled_from(REFERRERS[type_]))
        name_, value = draw(criteria(source, depth - 1))
        return f"_has:{source}:{param}:{name_}", value
    found: tuple[str, str] = draw(CRITERIA[type_] if way == "plain" else COMMON)
    return found


SORTS = {
    "Patient": ("name", "gender", "birthdate", "identifier", "organization", "_profile", "active"),
    "Observation": ("code", "date", "value-quantity", "subject", "status", "performer"),
    "Organization": ("name", "partof"),
    "Location": ("name",),
    "Encounter": ("date",),
    "RiskAssessment": ("probability",),
    "List": ("item",),
    "ValueSet": ("url", "name"),
}
INCLUDES = (
    ("_include", "Observation:subject"), ("_include", "Observation:*"), ("_include", "*"),
    ("_include:iterate", "Patient:organization"), ("_include:iterate", "Observation:has-member"),
    ("_include:iterate", "Organization:partof"), ("_include", "Patient:general-practitioner:Organization"),
    ("_revinclude", "Observation:subject"), ("_revinclude", "Observation:*"), ("_revinclude", "*"),
    ("_revinclude:iterate", "Observation:has-member"), ("_revinclude:iterate", "List:item"),
)  # fmt: skip


@st.composite
def searches(draw: st.DrawFn) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Give the types and parameters of one search."""
    if draw(st.integers(0, 7)) == 0:
        types = tuple(draw(st.lists(st.sampled_from(TYPES), min_size=2, max_size=3, unique=True)))
        query = draw(st.lists(COMMON, max_size=2))
        keys: tuple[str, ...] = ("_id", "_lastUpdated")
    else:
        types = (draw(st.sampled_from((*TYPES, "Patient", "Patient", "Observation", "Observation", "Observation"))),)
        query = [draw(criteria(types[0])) for _ in range(draw(st.sampled_from((0, 1, 1, 1, 1, 2))))]
        keys = (*SORTS[types[0]], "_id", "_lastUpdated")
    sort = draw(st.lists(st.tuples(st.sampled_from(("", "-")), st.sampled_from(keys)).map("".join), max_size=2))
    query += [("_sort", ",".join(sort))] if sort else []
    query += draw(st.lists(st.sampled_from(INCLUDES), max_size=2, unique=True))
    query += draw(st.sampled_from(([], [], [], [("_contained", "true")], [("_contained", "both")])))
    query.append(("_count", draw(st.sampled_from(("1", "2", "50")))))
    return types, tuple(query)
