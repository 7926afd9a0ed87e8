"""The table of patient links names every type, elements that exist, and forgets no reference to a Patient."""

import re

import pytest

from fhir_server.definitions import Element, PatientLink, load

DEFINITIONS = load()
LINKS = DEFINITIONS.patient_links
MENTIONS = DEFINITIONS.patient_mentions
ALL = [(name, link) for table in (LINKS, MENTIONS) for name, links in table.items() for link in links]

_FUNCTION = re.compile(r"\.ofType\((\w+)\)")
# In a Bundle the expressions step into the resource of an entry; the path goes on in the type that is named.
_INTO_RESOURCE = re.compile(r"^entry\[0\]\.resource\.ofType\((\w+)\)\.")


def element_of(resource_type: str, expression: str) -> Element | None:
    """The element that a link's expression ends at."""
    entered = _INTO_RESOURCE.match(expression)
    if entered:
        return element_of(entered[1], expression[entered.end() :])
    return DEFINITIONS.element(f"{resource_type}.{_FUNCTION.sub('', expression)}")


def targets_of(link: PatientLink, element: Element) -> set[str]:
    """Types that the references of a link may point to; `Resource` when the definition does not say."""
    references = [t for t in element.types if t.code in ("Reference", "Resource")]
    return {target for t in references for target in t.targets or ("Resource",)}


def test_every_resource_type_has_an_entry() -> None:
    assert set(LINKS) == set(DEFINITIONS.resource_types)


def test_mentions_are_of_resource_types_and_say_so() -> None:
    assert set(MENTIONS) <= set(DEFINITIONS.resource_types)
    assert all(link.role == "mention" for links in MENTIONS.values() for link in links)
    assert all(link.role != "mention" for links in LINKS.values() for link in links)


@pytest.mark.parametrize(("name", "link"), ALL, ids=lambda value: getattr(value, "expression", value))
def test_link_is_a_reference_that_can_reach_a_patient(name: str, link: PatientLink) -> None:
    element = element_of(name, link.expression)
    assert element is not None
    targets = targets_of(link, element)
    if link.via is None:
        assert targets & {"Patient", "Resource"}
    elif link.via == "Resource":
        assert targets == {"Resource"}
    else:
        assert targets == {link.via}
        assert LINKS[link.via]


def test_choices_are_narrowed_to_their_references() -> None:
    for name, link in ALL:
        element = element_of(name, link.expression)
        assert element is not None
        if element.choice:
            assert link.expression.endswith(".ofType(Reference)"), (name, link)


def test_no_reference_to_a_patient_is_forgotten() -> None:
    """Every element whose definition names Patient as a target is a link or a mention."""
    known = {element.path for name, link in ALL if (element := element_of(name, link.expression))}
    forgotten = {
        element.path
        for key in DEFINITIONS.types
        if key.partition(".")[0] in LINKS
        for element in DEFINITIONS.types[key].elements
        if any("Patient" in t.targets for t in element.types if t.code == "Reference")
    } - known
    assert forgotten == set()


def test_the_r4_compartment_is_within_the_links() -> None:
    by_code = {(b, p.code): p for p in DEFINITIONS.search_parameters for b in p.base}
    for name, codes in DEFINITIONS.compartments["Patient"].items():
        for code in codes:
            if code == "_id":
                continue
            paths = re.findall(rf"\b{name}\.([A-Za-z.]+?)(?=\.where|[\s)|]|$)", by_code[name, code].expression or "")
            assert paths, (name, code)
            assert set(paths) <= {link.expression for link in LINKS[name]}, (name, code)


def test_links_go_beyond_the_r4_compartment() -> None:
    beyond = {name for name, links in LINKS.items() if links} - set(DEFINITIONS.compartments["Patient"])
    assert beyond == {
        "Binary",
        "BiologicallyDerivedProduct",
        "Bundle",
        "Contract",
        "Device",
        "EnrollmentResponse",
        "GuidanceResponse",
        "Linkage",
        "MessageHeader",
        "PaymentNotice",
        "PaymentReconciliation",
        "Slot",
        "Task",
        "VerificationResult",
    }


@pytest.mark.parametrize(
    "name", ["Subscription", "OperationOutcome", "Library", "InsurancePlan", "DeviceMetric", "Practitioner"]
)
def test_type_that_belongs_to_no_patient_has_no_links(name: str) -> None:
    assert LINKS[name] == ()


def test_links_are_followed_in_at_most_a_few_steps() -> None:
    """A named `via` ends at a Patient and never at itself, so that following it needs no guard but `Resource`."""
    for links in LINKS.values():
        for link in links:
            if link.via not in (None, "Resource"):
                assert any(next_.via in (None, "Resource") for next_ in LINKS[link.via])
