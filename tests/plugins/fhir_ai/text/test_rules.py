"""What the rules make of sentences: sections, denial, doubt, whose it is and of when, measurements, hostile texts."""

import time

import pytest
from fhir_ai.text import Mention, extract
from fhir_ai.text.html import shown
from fhir_ai.text.lexicon import LEXICON


def _found(text: str) -> dict[str, Mention]:
    return {each.concept.name: each for each in extract(text)}


@pytest.mark.parametrize(
    ("text", "assertion"),
    [
        ("There is a small left pleural effusion.", "present"),
        ("No pleural effusion.", "absent"),
        ("No focal consolidation, pneumothorax or large pleural effusion.", "absent"),
        ("Lungs are clear without pneumothorax, focal infiltrate, or pleural effusion.", "absent"),
        ("Pleural effusion has resolved.", "absent"),
        ("Pleural effusion is not seen.", "absent"),
        ("No pneumothorax, but there is a pleural effusion.", "present"),
        ("No change in the pleural effusion.", "present"),
        ("Probable pleural effusion.", "probable"),
        ("This may represent a pleural effusion.", "possible"),
        ("Pleural effusion cannot be excluded.", "possible"),
        ("INDICATION: pleural effusion", "hypothetical"),
        ("Evaluate for pleural effusion.", "hypothetical"),
        ("No acute disease. Pleural effusion on the left.", "present"),
    ],
)
def test_what_a_sentence_says_of_a_finding(text: str, assertion: str) -> None:
    assert _found(text)["pleural-effusion"].assertion == assertion


def test_offsets_are_those_of_the_words() -> None:
    text = "HISTORY: x\n\nFINDINGS: The heart is enlarged.\nDenies chest pain."
    for each in extract(text):
        assert LEXICON[text[each.start : each.end].lower()] is each.concept
    found = _found(text)
    assert found["cardiomegaly"].section.title == "FINDINGS"
    assert [text[a:b] for a, b in found["chest-pain"].cues] == ["Denies"]


def test_whose_it_is_and_of_when() -> None:
    found = _found(
        "FAMILY HISTORY: Father had a stroke.\nPAST MEDICAL HISTORY: asthma\nASSESSMENT: gout. Mother has diabetes. "
        "History of pneumonia in 2019."
    )
    assert {name: each.experiencer for name, each in found.items()} == {
        "stroke": "family", "asthma": "patient", "gout": "patient", "diabetes": "family", "pneumonia": "patient",
    }  # fmt: skip
    assert {name for name, each in found.items() if each.historical} == {"asthma", "pneumonia"}
    assert found["pneumonia"].time is not None and found["pneumonia"].time.date == "2019"


def test_a_hearing_of_gout_is_no_gout_of_the_family_in_the_next_sentence() -> None:
    assert _found("Mother has asthma. He has gout.")["gout"].experiencer == "patient"


@pytest.mark.parametrize(
    ("text", "name", "value", "unit"),
    [
        ("BP 142/88 mmHg", "blood-pressure", "142", "mm[Hg]"),
        ("BP: 142/88", "blood-pressure", "142", ""),
        ("HR 88", "heart-rate", "88", ""),
        ("heart rate of 88 bpm", "heart-rate", "88", "/min"),
        ("Temp 101.3 F", "temperature", "101.3", "[degF]"),
        ("SpO2 95% on room air", "oxygen-saturation", "95", "%"),
        ("creatinine was 1.4 mg/dL", "creatinine", "1.4", "mg/dL"),
        ("creatinine 120 umol/L", "creatinine", "120", "umol/L"),
        ("metformin 500 mg twice daily", "metformin", "500", "mg"),
        ("A 2.3 cm lung nodule", "pulmonary-nodule", "2.3", "cm"),
    ],
)
def test_numbers_with_their_units_and_none_guessed(text: str, name: str, value: str, unit: str) -> None:
    measure = _found(text)[name].measure
    assert measure is not None
    assert (str(measure.value), measure.unit) == (value, unit)


@pytest.mark.parametrize(
    "text", ["BP stable", "HR 4000", "BP 60/142", "the creatinine will be repeated on 12/03/2024", "t 3"]
)
def test_a_name_without_a_plausible_number_is_no_measurement(text: str) -> None:
    assert not [each for each in extract(text) if each.concept.kind == "measurement"]


def test_html_is_read_as_people_see_it_and_its_offsets_point_into_the_source() -> None:
    source = "<head><style>p{stroke:1}</style></head><p>No <b>pleural</b>&nbsp;effusion&#46;</p><p>Gout</p>"
    page = shown(source)
    (effusion, gout) = extract(page.text)
    assert effusion.assertion == "absent"
    start, end = page.origin(effusion.start), page.origin(effusion.end, end=True)
    assert source[start:end] == "pleural</b>&nbsp;effusion"
    assert source[page.origin(gout.start) : page.origin(gout.end, end=True)] == "Gout"


@pytest.mark.parametrize(
    "broken", ["<", "<p", "&", "&amp", "<!--", "<script>stroke", "a<b>c", "</", "&#99999999999;", "<>"]
)
def test_broken_html_is_read_as_far_as_it_goes(broken: str) -> None:
    assert "stroke" not in [each.concept.name for each in extract(shown(broken).text)]


_MANY = 60_000


@pytest.mark.parametrize(
    "text",
    [
        "a" * _MANY, "no " * (_MANY // 3), "no pleural effusion, " * (_MANY // 21), "\x00\x07\u202e" * 20_000,
        "A:" * (_MANY // 2), ". " * (_MANY // 2), "(" * _MANY, "\n" * _MANY, "1/" * (_MANY // 2),
        "ABC " * (_MANY // 4), "for " * (_MANY // 4), "é" * _MANY,
    ],
    ids=range(12),
)  # fmt: skip
def test_hostile_texts_take_the_time_of_their_length(text: str) -> None:
    def seconds(part: str) -> float:
        begun = time.process_time()
        for _ in extract(part):
            pass
        return time.process_time() - begun

    quarter, whole = seconds(text[: len(text) // 4]), seconds(text)
    assert whole < 3
    assert whole < 12 * max(quarter, 0.05)  # 4, were it not for noise; what is quadratic takes 16


def test_hostile_html_takes_the_time_of_its_length() -> None:
    for text in ("<script>", "&", "<", "<!--", "<p", "</", "<p>&", "&amp", "a&"):
        begun = time.process_time()
        shown(text * _MANY)
        assert time.process_time() - begun < 2
