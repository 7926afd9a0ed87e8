"""ClaML: chapters, blocks, categories, modifiers, and XML that is up to no good."""

from pathlib import Path

import pytest

from fhir_server.errors import BadValue
from fhir_server.terminology.loaders.claml import ClaMl
from fhir_server.terminology.systems.held import Held
from tests.unit.terminology.loaders.reading import designations, held, properties, selected

CLAML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE ClaML SYSTEM "ClaML.dtd">
<ClaML version="2.0.0">
  <Meta name="lang" value="en"/>
  <Identifier authority="Nobody" uid="1"/>
  <Title date="2026-01-01" name="ICD-X" version="2026">Kinds of <!-- no --> weather</Title>
  <ClassKinds><ClassKind name="chapter"/><ClassKind name="block"/><ClassKind name="category"/></ClassKinds>
  <Modifier code="S1"><SubClass code=".0"/><SubClass code=".1"/></Modifier>
  <ModifierClass code=".0" modifier="S1">
    <SuperClass code="S1"/><Rubric kind="preferred"><Label xml:lang="en">by day</Label></Rubric>
  </ModifierClass>
  <ModifierClass code=".1" modifier="S1">
    <SuperClass code="S1"/><Rubric kind="preferred"><Label xml:lang="en">by night</Label></Rubric>
  </ModifierClass>
  <Class code="I" kind="chapter">
    <SubClass code="A00-A09"/>
    <Rubric id="1" kind="preferred"><Label xml:lang="en" xml:space="default">Rain</Label></Rubric>
  </Class>
  <Class code="A00-A09" kind="block">
    <SuperClass code="I"/><SubClass code="A00"/><SubClass code="A01"/><SubClass code="A02"/>
    <ModifiedBy code="S1"/>
    <Rubric id="2" kind="preferred"><Label xml:lang="en">Light rain</Label></Rubric>
  </Class>
  <Class code="A00" kind="category">
    <Meta name="sex" value="9"/>
    <SuperClass code="A00-A09"/>
    <Rubric id="3" kind="preferred">
      <Label xml:lang="en">Drizzle<Reference class="in brackets">A01</Reference></Label>
    </Rubric>
    <Rubric id="4" kind="inclusion"><Label xml:lang="en">mist</Label></Rubric>
    <Rubric id="5" kind="exclusion"><Label xml:lang="en">fog</Label></Rubric>
    <Rubric id="6" kind="definition"><Label xml:lang="en">Fine drops.</Label></Rubric>
  </Class>
  <Class code="A01" kind="category">
    <SuperClass code="A00-A09"/><SubClass code="A01.5"/>
    <Rubric id="7" kind="preferred"><Label xml:lang="en">Shower</Label></Rubric>
  </Class>
  <Class code="A01.5" kind="category">
    <SuperClass code="A01"/><ExcludeModifier code="S1"/>
    <Rubric id="8" kind="preferred"><Label xml:lang="en">Summer shower</Label></Rubric>
  </Class>
  <Class code="A02" kind="category">
    <SuperClass code="A00-A09"/><ExcludeModifier code="S1"/>
    <Rubric id="9" kind="preferred"><Label xml:lang="en">Sprinkle</Label></Rubric>
  </Class>
</ClaML>
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Held:
    folder: Path = tmp_path_factory.mktemp("claml")
    (folder / "icd.xml").write_text(CLAML, encoding="utf-8")
    return held(ClaMl(folder / "icd.xml"), folder / "held")


def test_the_file_says_what_it_is(system: Held) -> None:
    header = system.header
    assert (header.url, header.version, header.title, header.language) == (
        "http://hl7.org/fhir/sid/icd-10",
        "2026",
        "Kinds of weather",
        "en",
    )


def test_a_national_one_has_its_own_url(tmp_path: Path) -> None:
    (tmp_path / "gm.xml").write_text(CLAML, encoding="utf-8")
    source = ClaMl(tmp_path, "2027", "http://fhir.de/CodeSystem/bfarm/icd-10-gm")
    assert (source.header.url, source.header.version) == ("http://fhir.de/CodeSystem/bfarm/icd-10-gm", "2027")


def test_classes_stand_in_their_hierarchy(system: Held) -> None:
    assert list(system.descendants("I")) == [
        *("A00-A09", "A00", "A00.0", "A00.1", "A01", "A01.5", "A02"),
    ]


def test_modifiers_make_codes_where_they_are_not_excluded(system: Held) -> None:
    found = system.concept("a00.1")
    assert found is not None
    assert (found.code, found.display) == ("A00.1", "Drizzle (A01) : by night")
    assert system.concept("A02.0") is None
    assert system.concept("A01.50") is None


def test_chapters_and_blocks_are_not_to_be_chosen(system: Held) -> None:
    assert selected(system, "notSelectable", "=", "true") == ["I", "A00-A09"]


def test_a_class_has_inclusions_definition_and_what_its_meta_says(system: Held) -> None:
    found = system.concept("A00")
    assert found is not None
    assert found.definition == "Fine drops."
    assert designations(system, "A00") == [("en", "inclusion", "mist")]
    assert properties(system, "A00") == {"kind": ["category"], "sex": ["9"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<ClaML><Class code='A'>", "the XML is broken"),
        ("<Other/>", "has no classes"),
        (CLAML.replace('version="2026"', ""), "give --version"),
    ],
)
def test_what_is_no_classification_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.xml").write_text(text, encoding="utf-8")
    with pytest.raises(BadValue, match=message):
        ClaMl(tmp_path)


def test_entities_are_neither_expanded_nor_fetched(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    bomb = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    doctype = f'<!DOCTYPE ClaML [<!ENTITY file SYSTEM "file://{secret}"><!ENTITY e0 "lol">{bomb}]>'
    text = CLAML.replace('<!DOCTYPE ClaML SYSTEM "ClaML.dtd">', doctype).replace("Summer shower", "&file;&e9;")
    (tmp_path / "x.xml").write_text(text, encoding="utf-8")
    try:
        shown = [concept.display for concept in ClaMl(tmp_path / "x.xml").concepts()]
    except BadValue:
        return
    assert not any("secret" in display or "lol" in display for display in shown)
