"""What no snapshot can be made of is refused with the element and the profile."""

import pytest

from fhir_server.snapshot import SnapshotError, snapshot, structure
from fhir_server.snapshot.structures import MAX_LEVELS
from tests.unit.snapshot.profiles import OWN, R4, Json, by_id, by_ids, library, profile, said


@pytest.mark.parametrize(
    ("element", "fault"),
    [
        (said("Patient.nmae"), r"there is no element Patient\.nmae"),
        (said("Patient.name.familiy"), r"there is no element Patient\.name\.familiy"),
        (said("Patient.active.x.y"), r"there is no element Patient\.active\.x"),
        (said("Observation.code"), r"Observation\.code is not one of Patient"),
        (said("Patient.name", min=1, max="2", type=[{"code": "string"}]), r"Patient\.name: .*type string"),
        (said("Patient.birthDate", max="*"), r"Patient\.birthDate: max \* is more than the 1"),
        (said("Patient.communication.language", min=0), r"min 0 is less than the 1"),
        (said("Patient.deceasedQuantity"), r"there is no element Patient\.deceasedQuantity"),
        ({"short": "no path"}, "is not one of Patient"),
    ],
)
def test_a_wrong_element_is_named(element: Json, fault: str) -> None:
    with pytest.raises(SnapshotError, match=fault) as raised:
        snapshot(profile("Patient", element), library())
    assert OWN + "it" in str(raised.value)
    assert raised.value.issues[0].expression == ("StructureDefinition.differential",)


def test_all_that_is_too_wide_is_told_at_once() -> None:
    wide = profile("Patient", said("Patient.birthDate", max="*"), said("Patient.gender", max="2"))
    with pytest.raises(SnapshotError) as raised:
        snapshot(wide, library())
    assert len(raised.value.issues) == 2


def test_a_missing_base_is_named() -> None:
    with pytest.raises(SnapshotError, match=OWN + "nowhere") as raised:
        snapshot(profile("Patient", base=OWN + "nowhere"), library())
    assert raised.value.issues[0].code == "not-found"


def test_a_missing_base_of_the_base_is_named() -> None:
    lower = profile("Patient", base=OWN + "nowhere", name="lower")
    with pytest.raises(SnapshotError, match=OWN + "nowhere"):
        snapshot(profile("Patient", base=OWN + "lower"), library(lower))


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_profile_that_is_based_on_itself_is_refused(size: int) -> None:
    names = [f"p{index}" for index in range(size)]
    here = library(
        *(profile("Patient", name=name, base=OWN + names[(index + 1) % size]) for index, name in enumerate(names))
    )
    for _ in range(2):
        with pytest.raises(SnapshotError, match="is based on itself"):
            structure(here, OWN + "p0")


def test_an_extension_may_hold_itself() -> None:
    own = [{"code": "Extension", "profile": [OWN + "nested"]}]
    nested = profile(
        "Extension",
        by_id("Extension.extension", min=1),
        by_id("Extension.extension:again", type=own),
        by_id("Extension.extension:again.value[x]", max="0"),
        name="nested",
        kind="complex-type",
    )
    found = structure(library(nested), OWN + "nested")
    assert found is not None
    again = by_ids(found["snapshot"]["element"])
    assert again["Extension.extension:again.url"]["fixedUri"] == OWN + "nested"
    assert again["Extension.extension:again.value[x]"]["max"] == "0"


def test_what_was_made_while_another_waited_is_made_again() -> None:
    """Each of two extensions holds the other: whichever is asked for first, both are whole in the end."""
    pair = [
        profile(
            "Extension",
            by_id("Extension", short=name),
            by_id("Extension.extension:other", type=[{"code": "Extension", "profile": [OWN + other]}]),
            name=name,
            kind="complex-type",
        )
        for name, other in (("one", "two"), ("two", "one"))
    ]
    here = library(*pair)
    for name, other in (("one", "two"), ("two", "one")):
        found = structure(here, OWN + name)
        assert found is not None
        assert by_ids(found["snapshot"]["element"])["Extension.extension:other"]["short"] == other


def test_a_type_whose_profile_is_faulty_counts_as_that_type() -> None:
    faulty = profile("Quantity", name="faulty", base=OWN + "nowhere", kind="complex-type")
    typed = said("Observation.value[x]", type=[{"code": "Quantity", "profile": [OWN + "faulty"]}])
    found = by_ids(snapshot(profile("Observation", typed, said("Observation.value[x].code", min=1)), library(faulty)))
    assert found["Observation.value[x].code"]["min"] == 1


def test_too_many_levels_are_refused() -> None:
    names = ["Patient", *(f"p{index}" for index in range(MAX_LEVELS + 2))]
    bases = [R4 + names[0], *(OWN + name for name in names[1:])]
    here = library(*(profile("Patient", name=name, base=bases[index]) for index, name in enumerate(names[1:])))
    with pytest.raises(SnapshotError, match="over 50"):
        structure(here, bases[-1])
    assert structure(here, bases[MAX_LEVELS - 1]) is not None


def test_what_is_not_known_is_none() -> None:
    assert structure(library(), OWN + "nowhere") is None


@pytest.mark.parametrize(
    "broken",
    [
        {"differential": None},
        {"differential": []},
        {"differential": {"element": {"path": "Patient"}}},
        {"differential": {"element": [None]}},
        {"differential": {"element": [{"path": "Patient.name", "constraint": "x"}]}},
        {"differential": {"element": [{"path": "Patient.name", "type": [1]}]}},
        {"differential": {"element": [{"path": "Patient.name", "min": "1"}]}},
        {"differential": {"element": [{"path": "Patient.name", "slicing": 1}]}},
        {"baseDefinition": 7},
        {"type": None},
    ],
)
def test_a_misshapen_definition_is_refused_or_survived(broken: Json) -> None:
    try:
        snapshot(profile("Patient") | broken, library())
    except SnapshotError as error:
        assert str(error)


def test_a_base_with_a_broken_snapshot_is_made_anew() -> None:
    lower = profile("Patient", said("Patient.name", min=1), name="lower") | {"snapshot": {"element": []}}
    found = structure(library(lower), OWN + "lower")
    assert found is not None
    assert len(found["snapshot"]["element"]) > 40


def test_a_path_without_end_is_refused() -> None:
    with pytest.raises(SnapshotError, match="more than 50 steps"):
        snapshot(profile("Patient", said("Patient" + ".extension" * 2_000)), library())


def test_slices_beyond_measure_are_refused() -> None:
    slicing = {"discriminator": [{"type": "value", "path": "code"}], "rules": "open"}
    slices = (said("Observation.component", f"s{number}") for number in range(30_000))
    with pytest.raises(SnapshotError, match="more than 20000 elements"):
        snapshot(profile("Observation", said("Observation.component", slicing=slicing), *slices), library())


def test_to_validate_with_a_profile_its_faults_are_left_out() -> None:
    """Instances of it may be about already; whoever stores the profile is told."""
    faulty = profile(
        "Patient",
        said("Patient.nmae", min=1),
        said("Observation.code", min=1),
        said("Patient.name.familiy", min=1),
        said("Patient.birthDate", min=1, max="*"),
        said("Patient.communication.language", min=0, short="kept"),
        said("Patient.deceased[x]", type=[{"code": "boolean"}, {"code": "Quantity"}]),
        said("Patient.link", "a"),
        said("Patient.link", "b"),
        name="faulty",
    )
    here = library(faulty)
    found = structure(here, OWN + "faulty")
    assert found is not None
    elements = by_ids(found["snapshot"]["element"])
    assert (elements["Patient.birthDate"]["min"], elements["Patient.birthDate"]["max"]) == (1, "1")
    assert (elements["Patient.communication.language"]["min"], elements["Patient.communication.language"]["short"]) == (
        1,
        "kept",
    )
    assert elements["Patient.deceased[x]"]["type"] == [{"code": "boolean"}]
    assert "Patient.link:a" not in elements
    with pytest.raises(SnapshotError) as raised:
        snapshot(faulty, here)
    assert len(raised.value.issues) == 7
