"""LOINC as CSV files: names, axes, parts, the hierarchy, answer lists, translations."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from fhir_server.errors import BadValue
from fhir_server.terminology.loaders.loinc import Loinc
from fhir_server.terminology.systems.building import build
from fhir_server.terminology.systems.folder import HeldSystems
from fhir_server.terminology.systems.held import Held
from fhir_server.terminology.systems.store import Store
from tests.unit.terminology.loaders.reading import designations, properties, selected

Table = Sequence[Sequence[str]]

FILES: dict[str, Table] = {
    "LoincTable/Loinc.csv": (
        (
            *("LOINC_NUM", "COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP", "CLASS"),
            *("DefinitionDescription", "STATUS", "CLASSTYPE", "SHORTNAME", "EXTERNAL_COPYRIGHT_NOTICE"),
            *("LONG_COMMON_NAME", "ORDER_OBS"),
        ),
        (
            *("10-9", "Joy", "NFr", "Pt", "Heart", "Qn", "", "FEEL"),
            *("How much, joy", "ACTIVE", "1", "Joy Hrt", "", "Joy in Heart", "Both"),
        ),
        (
            *("20-8", "Joy", "Find", "Pt", "Heart", "Nom", "", "FEEL"),
            *("", "DEPRECATED", "4", "", "Someone's", "Kind of joy", "Observation"),
        ),
        ("30-7", "Letter", "Find", "Pt", "Mail", "Doc", "", "MAIL", "", "ACTIVE", "2", "", "", "Letter of mail", ""),
    ),
    "AccessoryFiles/PartFile/Part.csv": (
        ("PartNumber", "PartTypeName", "PartName", "PartDisplayName", "Status"),
        ("LP1-1", "COMPONENT", "Joy", "Joy part", "ACTIVE"),
        ("LP2-2", "SCALE", "Doc", "", "ACTIVE"),
        ("LP3-3", "COMPONENT", "Gone", "Gone", "DEPRECATED"),
    ),
    "AccessoryFiles/PartFile/LoincPartLink_Primary.csv": (
        ("LoincNumber", "LongCommonName", "PartNumber", "PartName", "PartCodeSystem", "PartTypeName", "LinkTypeName"),
        ("10-9", "Joy in Heart", "LP1-1", "Joy", "http://loinc.org", "COMPONENT", "Primary"),
        ("30-7", "Letter of mail", "LP2-2", "Doc", "http://loinc.org", "SCALE", "Primary"),
    ),
    "AccessoryFiles/ComponentHierarchyBySystem/ComponentHierarchyBySystem.csv": (
        ("PATH_TO_ROOT", "SEQUENCE", "IMMEDIATE_PARENT", "CODE", "CODE_TEXT"),
        ("", "1", "", "LP9-9", "{component}"),
        ("LP9-9", "1", "LP9-9", "LP1-1", "Joy"),
        ("LP9-9.LP1-1", "1", "LP1-1", "10-9", "Joy in Heart"),
        ("LP9-9.LP1-1", "2", "LP1-1", "20-8", "Kind of joy"),
    ),
    "AccessoryFiles/AnswerFile/AnswerList.csv": (
        ("AnswerListId", "AnswerListName", "AnswerStringId", "SequenceNumber", "DisplayText"),
        ("LL1-1", "Kinds of joy", "LA1-1", "1", "Quiet"),
        ("LL1-1", "Kinds of joy", "LA2-9", "2", "Loud"),
        ("LL2-2", "Loudness", "LA2-9", "1", "Loud"),
    ),
    "AccessoryFiles/AnswerFile/LoincAnswerListLink.csv": (
        ("LoincNumber", "LongCommonName", "AnswerListId", "AnswerListName", "AnswerListLinkType", "ApplicableContext"),
        ("20-8", "Kind of joy", "LL1-1", "Kinds of joy", "NORMATIVE", ""),
    ),
    "AccessoryFiles/ConsumerName/ConsumerName.csv": (("LoincNumber", "ConsumerName"), ("10-9", "Joy")),
    "AccessoryFiles/LinguisticVariants/LinguisticVariants.csv": (
        ("ID", "ISO_LANGUAGE", "ISO_COUNTRY", "LANGUAGE_NAME", "PRODUCER"),
        ("7", "de", "DE", "German", "Nobody"),
        ("8", "fr", "FR", "French", "Nobody"),
    ),
    "AccessoryFiles/LinguisticVariants/deDE7LinguisticVariant.csv": (
        ("LOINC_NUM", "COMPONENT", "PROPERTY", "LONG_COMMON_NAME"),
        ("10-9", "Freude", "NFr", "Freude im Herzen"),
    ),
    "AccessoryFiles/LinguisticVariants/frFR8LinguisticVariant.csv": (
        ("LOINC_NUM", "COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP"),
        ("10-9", "Joie", "NFr", "Pt", "Coeur", "Qn", ""),
    ),
}


def write_loinc(folder: Path) -> Path:
    """Write the release."""
    for name, rows in FILES.items():
        path = folder / "Loinc_2.99" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows(rows)
    return folder


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("loinc")
    return build(Loinc(write_loinc(folder / "release")), folder / "held")


@pytest.fixture(scope="module")
def system(path: Path) -> Held:
    return Held(Store(path))


def test_the_version_is_that_of_the_folder(system: Held) -> None:
    assert system.header.version == "2.99"


def test_a_release_that_does_not_say_its_version_needs_it(tmp_path: Path) -> None:
    (tmp_path / "Loinc.csv").write_text("LOINC_NUM,LONG_COMMON_NAME\n1-8,Something\n")
    with pytest.raises(BadValue, match="give --version"):
        Loinc(tmp_path)
    assert list(Loinc(tmp_path, "2.0").codes()) == ["1-8"]


def test_an_observation_has_names_axes_and_translations(system: Held) -> None:
    found = system.concept("10-9")
    assert found is not None
    assert (found.display, found.definition, found.status) == ("Joy in Heart", "How much, joy", "active")
    assert designations(system, "10-9") == [
        ("en", "SHORTNAME", "Joy Hrt"),
        ("en", "ConsumerName", "Joy"),
        ("de-DE", "LONG_COMMON_NAME", "Freude im Herzen"),
        ("fr-FR", "FullySpecifiedName", "Joie:NFr:Pt:Coeur:Qn:"),
    ]
    assert properties(system, "10-9")["COMPONENT"] == ["Joy", "LP1-1"]


def test_what_is_deprecated_is_inactive(system: Held) -> None:
    assert set(selected(system, "inactive", "=", "true")) == {"20-8", "LP3-3"}


@pytest.mark.parametrize(
    ("property_", "op", "value", "codes"),
    [
        ("SCALE_TYP", "=", "Doc", {"30-7"}),
        ("SCALE_TYP", "=", "LP2-2", {"30-7"}),
        ("COMPONENT", "=", "LP1-1", {"10-9"}),
        ("STATUS", "=", "DEPRECATED", {"20-8"}),
        ("CLASSTYPE", "=", "1", {"10-9"}),
        ("CLASSTYPE", "=", "Laboratory class", {"10-9"}),
        ("copyright", "=", "3rdParty", {"20-8"}),
        ("ORDER_OBS", "in", "Both,Order", {"10-9"}),
        ("LIST", "=", "LL1-1", {"LA1-1", "LA2-9"}),
        ("answers-for", "=", "20-8", {"LA1-1", "LA2-9"}),
        ("answer-list", "=", "LL1-1", {"20-8"}),
        ("parent", "=", "LP1-1", {"10-9", "20-8"}),
        ("ancestor", "=", "LP9-9", {"LP1-1", "10-9", "20-8"}),
        ("concept", "is-a", "LP1-1", {"LP1-1", "10-9", "20-8"}),
        ("PROPERTY", "regex", "N.*", {"10-9"}),
    ],
)
def test_filters_of_loinc(system: Held, property_: str, op: str, value: str, codes: set[str]) -> None:
    assert set(selected(system, property_, op, value)) == codes


def test_implicit_value_sets_name_lists_and_parts(path: Path) -> None:
    systems = HeldSystems(path.parent)
    include = {"system": "http://loinc.org"}
    for url, filter_ in (
        ("http://loinc.org/vs", None),
        ("http://loinc.org/vs/LL1-1", {"property": "LIST", "op": "=", "value": "LL1-1"}),
        ("http://loinc.org/vs/LP1-1", {"property": "ancestor", "op": "=", "value": "LP1-1"}),
    ):
        found = systems.value_set(url)
        assert found is not None
        assert found["compose"]["include"] == [include | ({"filter": [filter_]} if filter_ else {})]
    assert systems.value_set("http://loinc.org/vs/LL9-9") is None
