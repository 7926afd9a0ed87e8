"""XML to JSON. Spec: https://hl7.org/fhir/R4/xml.html"""

import json
import time

import pytest

from fhir_server.api.xml import xml_to_json
from fhir_server.definitions import load
from fhir_server.errors import BadXml, FhirError, TooLarge

NS = 'xmlns="http://hl7.org/fhir"'
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'


def read(text: str | bytes, max_depth: int = 100) -> bytes:
    raw = text if isinstance(text, bytes) else text.encode()
    return xml_to_json(raw, load(), max_depth)


def patient(inner: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(read(f"<Patient {NS}>{inner}</Patient>"))
    assert found.pop("resourceType") == "Patient"
    return found


def test_elements_become_properties_with_their_json_types() -> None:
    assert patient('<active value="true"/><birthDate value="1970"/><multipleBirthInteger value="2"/>') == {
        "active": True,
        "birthDate": "1970",
        "multipleBirthInteger": 2,
    }


def test_elements_that_may_repeat_are_arrays_even_when_they_stand_once() -> None:
    assert patient('<name><family value="a"/><given value="b"/></name>') == {"name": [{"family": "a", "given": ["b"]}]}


def test_decimals_keep_their_digits() -> None:
    quantity = f'<Observation {NS}><valueQuantity><value value="{{}}"/></valueQuantity></Observation>'
    for digits in ("1.20", "0.0", "1E-10", "-3.000e+5", "100000000000000000000.10"):
        assert b'"value":' + digits.encode() + b"}" in read(quantity.format(digits))


@pytest.mark.parametrize("text", ["yes", "1.", "+1", ".5", "NaN", "0x1", "1,5", ""])
def test_what_is_no_number_or_boolean_stays_for_the_validator_to_find(text: str) -> None:
    assert patient(f'<active value="{text}"/>') == {"active": text}
    assert patient(f'<multipleBirthInteger value="{text}"/>') == {"multipleBirthInteger": text}


def test_strings_keep_white_space_that_is_escaped_and_lose_none_of_their_characters() -> None:
    assert patient('<name><text value=" a&#xA;b&#9;c&#xD;d  e &amp;&lt;&quot;\u00e9\U0001f600 "/></name>') == {
        "name": [{"text": ' a\nb\tc\rd  e &<"\u00e9\U0001f600 '}]
    }


def test_ids_and_extensions_of_primitives_stand_beside_their_values() -> None:
    inner = '<birthDate id="b" value="1970"><extension url="u"><valueString value="x"/></extension></birthDate>'
    assert patient(inner) == {
        "birthDate": "1970",
        "_birthDate": {"id": "b", "extension": [{"url": "u", "valueString": "x"}]},
    }


def test_arrays_of_primitives_are_padded_with_nulls() -> None:
    extension = '<extension url="u"><valueCode value="x"/></extension>'
    inner = f'<name><given value="a"/><given>{extension}</given><given id="c" value="c"/></name>'
    assert patient(inner) == {
        "name": [
            {
                "given": ["a", None, "c"],
                "_given": [None, {"extension": [{"url": "u", "valueCode": "x"}]}, {"id": "c"}],
            }
        ]
    }


def test_an_array_of_nothing_but_extensions_has_no_values() -> None:
    assert patient('<name><given id="a"/></name>') == {"name": [{"_given": [{"id": "a"}]}]}


def test_the_id_of_a_resource_is_an_element_and_that_of_an_element_an_attribute() -> None:
    assert patient('<id value="p"/><name id="n"><family value="f"/></name>') == {
        "id": "p",
        "name": [{"id": "n", "family": "f"}],
    }


def test_contained_resources_and_entries_hold_resources() -> None:
    inner = '<contained><Organization><id value="o"/></Organization></contained>'
    assert patient(inner) == {"contained": [{"resourceType": "Organization", "id": "o"}]}
    bundle = f'<Bundle {NS}><entry><resource><Patient><id value="1"/></Patient></resource></entry></Bundle>'
    assert json.loads(read(bundle))["entry"] == [{"resource": {"resourceType": "Patient", "id": "1"}}]


def test_comments_instructions_and_schema_locations_go() -> None:
    text = (
        f'<?xml version="1.0"?><!-- a --><?pi x?><Patient {NS} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        f'xsi:schemaLocation="http://hl7.org/fhir ../x.xsd"><!-- <active value="false"/> --> '
        f'<active value="true"/><?y?>\n</Patient><!-- z -->'
    )
    assert json.loads(read(text)) == {"resourceType": "Patient", "active": True}


def test_a_prefix_for_the_namespace_is_as_good() -> None:
    text = '<f:Patient xmlns:f="http://hl7.org/fhir"><f:active value="true"/></f:Patient>'
    assert json.loads(read(text)) == {"resourceType": "Patient", "active": True}


@pytest.mark.parametrize(
    "div",
    [
        f"<div {XHTML}>a</div>",
        f"<div {XHTML}/>",
        f"<div {XHTML}><br/><br /><p class='x'>a &amp; b &#160; &lt;</p><!-- c --><div><div>\n\t</div></div></div>",
        f'<div lang="de" {XHTML}  title="a > b / c">\u00e9</div >',
        f"<div {XHTML}><![CDATA[<div>]]></div>",
    ],
)
def test_narratives_stay_character_for_character(div: str) -> None:
    text = f'<text><status value="generated"/>{div}</text>'
    assert patient(text) == {"text": {"status": "generated", "div": div}}


def test_narratives_of_several_resources_stay_with_their_own() -> None:
    def resource(name: str, text: str) -> str:
        return f'<{name}><text><status value="generated"/><div {XHTML}>{text}<div>in</div></div></text></{name}>'

    bundle = f"<Bundle {NS}><!-- <div>no</div> -->" + "".join(
        f"<entry><resource>{resource('Patient', str(number))}</resource></entry>" for number in range(5)
    )
    found = json.loads(read(bundle + "</Bundle>"))
    divs = [entry["resource"]["text"]["div"] for entry in found["entry"]]
    assert divs == [f"<div {XHTML}>{number}<div>in</div></div>" for number in range(5)]


def test_a_narrative_that_cannot_stand_alone_gets_the_namespaces_it_needs() -> None:
    text = (
        f'<Patient {NS} xmlns:h="http://www.w3.org/1999/xhtml"><text><status value="generated"/>'
        f"<h:div><h:p>a</h:p></h:div></text></Patient>"
    )
    div = json.loads(read(text))["text"]["div"]
    assert div == '<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p>a</h:p></h:div>'


def test_line_ends_in_narratives_are_those_of_xml() -> None:
    found = patient(f'<text><status value="generated"/><div {XHTML}>a\r\nb\rc</div></text>')
    assert found["text"] == {"status": "generated", "div": f"<div {XHTML}>a\nb\nc</div>"}


@pytest.mark.parametrize(
    ("inner", "what"),
    [
        ("<foo/>", "unknown element <foo>"),
        ('<active value="true" foo="1"/>', "unknown attribute 'foo'"),
        ("<active>true</active>", "text"),
        ("text", "text"),
        ('<active value="true"/>text', "text"),
        ("<active/>", "neither a value nor an extension"),
        ('<active value="true"/><active value="true"/>', "once"),
        ('<birthDate value="1970"/><active value="true"/>', "out of order"),
        ('<name><family value="a"/></name><name url="x"/>', "unknown attribute 'url'"),
        ('<x:active xmlns:x="urn:x" value="true"/>', "of the namespace"),
        ('<active xmlns="" value="true"/>', "of no namespace"),
        ("<contained/>", "exactly one resource"),
        ("<contained><Patient/><Patient/></contained>", "exactly one resource"),
        ("<contained><name/></contained>", "is not a resource"),
        ("<text><status value='generated'/><div>a</div></text>", "unknown element <div>"),
        (f"<text><status value='generated'/><p {XHTML}/></text>", "unknown element"),
        ("<resourceType value='Patient'/>", "unknown element"),
        ('<extension><url value="u"/></extension>', "unknown element <url>"),
    ],
)
def test_what_is_not_fhir_is_refused_with_line_and_element(inner: str, what: str) -> None:
    with pytest.raises(BadXml, match="line 2, Patient") as caught:
        read(
            f"<Patient {NS}>\n{inner}</Patient>"
            if not inner.startswith("text")
            else f"\n<Patient {NS}>{inner}</Patient>"
        )
    assert what in str(caught.value)
    assert caught.value.status == 400
    assert caught.value.issues[0].expression[0].startswith("Patient")


@pytest.mark.parametrize(
    "text",
    [
        "<Patient/>",
        '<Patient xmlns="http://hl7.org/fhir/x"/>',
        f"<Foo {NS}/>",
        f"<HumanName {NS}/>",
        f"<DomainResource {NS}/>",
        "",
        " ",
        "{}",
        f"<Patient {NS}>",
        f"<Patient {NS}/><Patient {NS}/>",
        f"<Patient {NS}><active value=true/></Patient>",
        f"<Patient {NS}>&nbsp;</Patient>",
        f'<Patient {NS}><name><text value="&#0;"/></name></Patient>',
        f'<Patient {NS}><name><text value="&#x1;"/></name></Patient>',
    ],
)
def test_what_is_no_resource_or_no_xml_is_refused(text: str) -> None:
    with pytest.raises(BadXml):
        read(text)


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    + "".join(f'<!ENTITY {chr(c)} "{f"&{chr(c - 1)};" * 10}">' for c in range(ord("c"), ord("k")))
    + f']><Patient {NS}><name><text value="&j;"/></name></Patient>'
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        f'<!DOCTYPE x SYSTEM "file:///etc/passwd"><Patient {NS}/>',
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Patient {NS}><id value="&e;"/></Patient>',
        f'<!DOCTYPE x [<!ENTITY % e SYSTEM "http://localhost:1/x">%e;]><Patient {NS}/>',
        LAUGHS.encode("utf-16"),
        LAUGHS.replace("?>", ' encoding="utf-16"?>', 1).encode("utf-16-le"),
        LAUGHS.replace("?>", ' encoding="utf-7"?>', 1).encode("utf-7"),
        b"\xef\xbb\xbf" + LAUGHS.encode(),
    ],
    ids=range(8),
)
def test_document_types_and_entities_are_refused_at_once(text: str | bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(BadXml):
        read(text)
    assert time.perf_counter() - started < 0.1


def test_the_body_is_utf_8_whatever_it_says() -> None:
    declared = f'<?xml version="1.0" encoding="ISO-8859-1"?><Patient {NS}><name><text value="é"/></name></Patient>'
    assert "é" in read(declared).decode()
    with pytest.raises(BadXml):
        read(declared.encode("latin-1"))
    assert json.loads(read(b"\xef\xbb\xbf" + f"<Patient {NS}/>".encode())) == {"resourceType": "Patient"}


def test_deep_nesting_is_refused() -> None:
    def nested(depth: int) -> str:
        return f"<Patient {NS}>{'<extension>' * depth}{'</extension>' * depth}</Patient>"

    assert read(nested(40))
    for depth in (150, 300, 100_000):
        with pytest.raises(FhirError) as caught:
            read(nested(depth))
        assert caught.value.status in (400, 413)


def test_a_value_that_is_too_large_for_the_parser_is_said_to_be() -> None:
    with pytest.raises(TooLarge):
        read(f'<Binary {NS}><contentType value="x/y"/><data value="{"A" * 11_000_000}"/></Binary>')


def test_many_elements_take_time_in_proportion() -> None:
    names = '<name><family value="a"/></name>' * 50_000
    started = time.perf_counter()
    assert len(patient(names)["name"]) == 50_000  # type: ignore[arg-type]
    assert time.perf_counter() - started < 5


def test_an_element_with_very_many_attributes_is_refused_at_once() -> None:
    many = " ".join(f'a{number}="x"' for number in range(100_000))
    for text in (f"<Patient {NS} {many}/>", f"<Patient {NS}><active {many}/></Patient>"):
        with pytest.raises(BadXml, match="100000 attributes"):
            read(text)
