"""Expression constraints: what each selects of the small snapshot, and what is refused."""

import re

import pytest

from fhir_server.errors import BadValue
from fhir_server.terminology.systems.ecl import evaluate, parse
from fhir_server.terminology.systems.store import Store
from tests.unit.terminology.snomed import CODES, NAMES

PETS = {"dog", "cat", "old"}
DOGS = {"dog", "poodle", "guide dog"}
ANIMALS = DOGS | {"animal", "cat"}


def written(text: str) -> str:
    """Put identifiers for the names in quotes of an expression."""
    return re.sub(r"'([^']+)'", lambda match: CODES[match[1]], text)


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        # simple ones
        ("'dog'", {"dog"}),
        ("'dog' |Dog, or hound|", {"dog"}),
        ("< 'dog'", {"poodle", "guide dog"}),
        ("<< 'dog'", DOGS),
        ("<<'dog'|dog|", DOGS),
        ("<! 'animal'", {"dog", "cat"}),
        ("<<! 'animal'", {"animal", "dog", "cat"}),
        ("> 'poodle'", {"dog", "animal", "root"}),
        (">> 'poodle'", {"poodle", "dog", "animal", "root"}),
        (">! 'guide dog'", {"dog", "helper"}),
        (">>! 'guide dog'", {"guide dog", "dog", "helper"}),
        ("^ 'pets'", PETS),
        ("^ *", PETS),
        ("*", set(CODES)),
        ("< *", set(CODES) - {"root", "old"}),
        ("!!> ( << 'dog' OR 'tail' )", {"dog", "tail"}),
        ("!!< ( << 'dog' OR 'tail' )", {"poodle", "guide dog", "tail"}),
        # several
        ("<< 'dog' AND << 'helper'", {"guide dog"}),
        ("<< 'dog', << 'helper'", {"guide dog"}),
        ("< 'dog' OR 'cat' or 'red'", {"poodle", "guide dog", "cat", "red"}),
        ("<< 'animal' MINUS << 'dog'", {"animal", "cat"}),
        ("( << 'dog' OR 'cat' ) MINUS ( 'dog' OR 'poodle' )", {"guide dog", "cat"}),
        ("<< ( 'dog' OR 'leg' )", DOGS | {"leg", "foreleg"}),
        ("< ^ 'pets'", {"poodle", "guide dog"}),
        ("^ 'pets' AND << 'dog'", {"dog"}),
        # refinements
        ("<< 'animal' : 'has colour' = 'black'", {"dog", "cat"}),
        ("<< 'animal' : 'has colour' = << 'colour'", {"dog", "cat", "poodle"}),
        ("<< 'animal' : 'has colour' = *", {"dog", "cat", "poodle"}),
        ("* : 'has colour' != 'black'", {"poodle"}),
        ("< 'animal' : 'has part' = 'leg'", {"dog"}),
        ("< 'animal' : << 'has part' = << 'leg'", {"dog", "poodle"}),
        ("< 'animal' : * = << 'leg'", {"dog", "poodle"}),
        ("< 'animal' : ( 'has colour' OR 'has part' ) = ( 'red' OR 'leg' )", {"dog", "poodle"}),
        ("< 'animal' : 'has colour' = 'black' , 'has part' = 'leg'", {"dog"}),
        ("< 'animal' : 'has colour' = 'black' AND 'has part' = 'leg'", {"dog"}),
        ("< 'animal' : 'has colour' = 'red' OR 'has part' = 'leg'", {"dog", "poodle"}),
        ("< 'animal' : ( 'has colour' = 'red' OR 'has part' = 'leg' ) , 'has part' = 'tail'", {"dog", "poodle"}),
        ("( < 'animal' : 'has colour' = 'red' ) OR 'cat'", {"poodle", "cat"}),
        ("< 'animal' : 'has colour' = ( 'red' OR 'black' )", {"dog", "cat", "poodle"}),
        ("< 'animal' : 'has part' = ( < 'part' : 'has colour' = * )", set()),
        # role groups
        ("< 'animal' : { 'has colour' = 'black' , 'has part' = 'tail' }", {"dog"}),
        ("< 'animal' : { 'has part' = 'tail' }", {"dog", "cat", "poodle"}),
        ("< 'animal' : { 'has colour' = 'black' , 'has part' = 'leg' }", set()),
        ("< 'animal' : { 'has colour' = 'black' } , { 'has part' = 'leg' }", {"dog"}),
        ("< 'animal' : { 'has colour' = 'black' } OR { 'has colour' = 'red' }", {"dog", "cat", "poodle"}),
        # cardinality
        ("< 'animal' : [2..*] 'has part' = *", {"dog"}),
        ("< 'animal' : [1..1] 'has part' = *", {"cat", "poodle"}),
        ("< 'animal' : [0..1] 'has part' = *", {"cat", "poodle", "guide dog"}),
        ("< 'animal' : [0..0] 'has part' = *", {"guide dog"}),
        ("< 'animal' : [0..0] 'has colour' = 'black'", {"poodle", "guide dog"}),
        ("< 'animal' : [2..2] { 'has part' = * }", {"dog"}),
        ("< 'animal' : { [0..0] 'has colour' = * , 'has part' = * }", {"dog", "poodle", "cat"}),
        # the other way round, and values
        ("< 'part' : R 'has part' = 'dog'", {"leg", "tail"}),
        ("< 'animal' . 'has part'", {"leg", "tail"}),
        ("'poodle' . << 'has part'", {"foreleg", "tail"}),
        ("'poodle' . 'has colour' AND << 'colour'", {"red"}),
        # concrete values
        ("< 'animal' : 'weight' = #10", {"dog"}),
        ("< 'animal' : 'weight' = #10.0", {"dog"}),
        ("< 'animal' : 'weight' >= #4.5", {"dog", "cat"}),
        ("< 'animal' : 'weight' < #5", {"cat"}),
        ("< 'animal' : 'weight' = \"light\"", {"poodle"}),
        ("< 'animal' : 'weight' = (#4.5 #10)", {"dog", "cat"}),
        # filters
        ("<< 'animal' {{ term = \"dog\" }}", {"dog", "guide dog"}),
        ("<< 'animal' {{ term = \"do gui\" }}", {"guide dog"}),
        ('<< \'animal\' {{ term = ("poo" "cat") }}', {"poodle", "cat"}),
        ("<< 'animal' {{ D term = wild:\"*oo*\" , type = syn }}", {"poodle"}),
        ("<< 'animal' {{ term = \"dog man\" }}", set()),
        ("<< 'animal' {{ term = \"man friend\", type = syn }}", {"dog"}),
        ("* {{ language = de }}", {"dog"}),
        ('* {{ term = "col", dialectId = 900000000000509007, type = syn }}', {"colour", "has colour"}),
        ("* {{ C active = false }}", {"old"}),
        ("^ 'pets' {{ C active = 1 }}", {"dog", "cat"}),
        ("<< 'animal' {{ C definitionStatus = defined }}", {"poodle"}),
        ("<< 'dog' {{ C definitionStatus != defined }}", {"dog", "guide dog"}),
        ("< 'animal' : 'has colour' = << 'colour' {{ term = \"red\" }}", {"poodle"}),
        ("/* all */ << /* of */ 'dog'", DOGS),
    ],
)
def test_an_expression_selects(snomed_store: Store, expression: str, names: set[str]) -> None:
    found = {NAMES[code] for code in snomed_store.codes(evaluate(snomed_store, written(expression)))}
    assert found == names


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "a concept is expected at character 1"),
        ("<<", "a concept is expected at character 3"),
        ("<< 1110001 AND", "a concept is expected at character 15"),
        ("<< 1110001 )", "the end is expected at character 12"),
        ("<< 1110001 $", r"'\$' at character 12 begins nothing"),
        ("1110001 AND 1120001 OR 1210001", "OR at character 21 needs brackets"),
        ("1110001 MINUS 1120001 MINUS 1210001", "MINUS at character 23 needs brackets"),
        ("1110001 : 1520001", "a comparison is expected"),
        ("1110001 : 1520001 > 1520001", "a number is expected"),
        ("1110001 : [3..1] 1520001 = *", "allows nothing"),
        ("1110001 : { { 1520001 = * } }", "a concept is expected"),
        ("1110001 {{ colour = red }}", "COLOUR of descriptions is not supported"),
        ('1110001 {{ C effectiveTime = "20200101" }}', "EFFECTIVETIME of concepts is not supported"),
        ("12345678", "there is no concept 12345678"),
        ("(" * 60 + "1110001" + ")" * 60, "nested deeper"),
        ("1110001 : " + "(" * 100 + "1520001 = *", "nested deeper"),
        ("1110001 OR " * 2_000 + "1110001", "at most 20000 characters"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(snomed_store: Store, expression: str, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        evaluate(snomed_store, expression)


def test_brackets_that_open_ever_new_refinements_do_not_take_for_ever() -> None:
    with pytest.raises(BadValue):
        parse("1110001 : " + "(1110001:" * 35 + "1520001 = *")


def test_a_wild_card_of_many_stars_does_not_take_for_ever(snomed_store: Store) -> None:
    stars = "*o" * 40
    assert not evaluate(snomed_store, f'* {{{{ term = wild:"{stars}" }}}}')
