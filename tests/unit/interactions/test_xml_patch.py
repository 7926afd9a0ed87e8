"""XML Patch by its standard: text among elements, places, attributes, namespaces, white space.

Spec: RFC 5261
"""

import pytest
from lxml import etree

from fhir_server.errors import BadRequest, InvalidResource
from fhir_server.interactions.patching.xml_patch import xml_patch

F = "http://hl7.org/fhir"


def patched(document: str, *operations: str) -> str:
    """The document after operations, without the declaration of its namespace."""
    diff = f'<diff xmlns:f="{F}" xmlns:p="urn:p">{"".join(operations)}</diff>'
    after = xml_patch(document.replace(">", f' xmlns="{F}">', 1).encode(), diff.encode()).decode()
    return after.replace(f' xmlns="{F}"', "").replace(f' xmlns:f="{F}"', "").replace(' xmlns:p="urn:p"', "")


@pytest.mark.parametrize(
    ("document", "operation", "after"),
    [
        # text stays where it stood
        ("<d>1<a/>2<b/>3</d>", '<remove sel="f:d/f:a"/>', "<d>12<b/>3</d>"),
        ("<d>1<a/>2<b/>3</d>", '<remove sel="f:d/f:b"/>', "<d>1<a/>23</d>"),
        ("<d>1<a/>2</d>", '<replace sel="f:d/f:a"><b/></replace>', "<d>1<b/>2</d>"),
        ("<d>1<a/>2</d>", '<replace sel="f:d/f:a">\n <b/>\n</replace>', "<d>1<b/>2</d>"),
        ("<d>1<!--c-->2</d>", '<remove sel="f:d/comment()"/>', "<d>12</d>"),
        ("<d><?p x?>2</d>", "<remove sel=\"f:d/processing-instruction('p')\"/>", "<d>2</d>"),
        ("<d><!--c--></d>", '<replace sel="f:d/comment()[1]"><!--n--></replace>', "<d><!--n--></d>"),
        # places
        ("<d>1<a/>2</d>", '<add sel="f:d/f:a" pos="after">x<b/>y</add>', "<d>1<a/>x<b/>y2</d>"),
        ("<d>1<a/>2</d>", '<add sel="f:d/f:a" pos="before">x<b/>y</add>', "<d>1x<b/>y<a/>2</d>"),
        ("<d>1<a/>2</d>", '<add sel="f:d/f:a" pos="after">x</add>', "<d>1<a/>x2</d>"),
        ("<d>1<a/>2</d>", '<add sel="f:d" pos="prepend">x<b/>y</add>', "<d>x<b/>y1<a/>2</d>"),
        ("<d>1<a/>2</d>", '<add sel="f:d">x<b/>y</add>', "<d>1<a/>2x<b/>y</d>"),
        ("<d>1<a/>2</d>", '<add sel="f:d/text()[1]" pos="after"><b/></add>', "<d>1<b/><a/>2</d>"),
        ("<d>1<a/>2</d>", '<add sel="f:d/text()[2]" pos="before"><b/></add>', "<d>1<a/><b/>2</d>"),
        ("<d><a/></d>", '<add sel="f:d/f:a" pos="before"><!--c--></add>', "<d><!--c--><a/></d>"),
        ("<d/>", '<add sel="f:d"><b/><c/></add>', "<d><b/><c/></d>"),
        # text and attributes
        ("<d>1<a/>2</d>", '<replace sel="f:d/text()[2]">x</replace>', "<d>1<a/>x</d>"),
        ("<d>1<a/>2</d>", '<replace sel="f:d/text()[1]"/>', "<d><a/>2</d>"),
        ("<d>1<a/>2</d>", '<remove sel="f:d/text()[2]"/>', "<d>1<a/></d>"),
        ('<d a="1"/>', '<remove sel="f:d/@a"/>', "<d/>"),
        ('<d a="1"/>', '<replace sel="f:d/@a"/>', '<d a=""/>'),
        ("<d/>", '<add sel="f:d" type="@a">x</add>', '<d a="x"/>'),
        ("<d/>", '<add sel="f:d" type="@xml:lang">de</add>', '<d xml:lang="de"/>'),
        # white space beside what goes
        ("<d> <a/> <b/></d>", '<remove sel="f:d/f:a" ws="both"/>', "<d><b/></d>"),
        ("<d> <a/>\n<b/></d>", '<remove sel="f:d/f:a" ws="before"/>', "<d>\n<b/></d>"),
        ("<d><a/><b/></d>", '<remove sel="f:d/f:a" ws="after"/>', "<d><b/></d>"),
        # names without a prefix are those of FHIR, and of the namespace that the patch says
        ("<d><a><b/></a></d>", '<remove sel="d/a/b"/>', "<d><a/></d>"),
        ('<d><a k="1" m="2"/></d>', "<remove sel=\"/d/a[@k='1' and @m='2']\"/>", "<d/>"),
        ("<d><a><and/></a></d>", "<remove sel='d/a[and=\"\"]'/>", "<d/>"),
        ("<d><last/><last/></d>", '<remove sel="d/last[last()]"/>', "<d><last/></d>"),
    ],
)
def test_a_patch_changes_what_it_selects(document: str, operation: str, after: str) -> None:
    if document.endswith("/>"):
        document = document.replace("/>", f"></{document[1]}>")
    assert etree.canonicalize(patched(document, operation)) == etree.canonicalize(after)


def test_several_operations_are_applied_one_after_the_other() -> None:
    operations = (
        '<add sel="f:d"><b>1</b></add>',
        '<replace sel="f:d/f:b/text()">2</replace>',
        '<remove sel="f:d/f:a"/>',
    )
    assert patched("<d><a/></d>", *operations) == "<d><b>2</b></d>"


def test_names_without_a_prefix_are_of_the_default_namespace_of_the_patch() -> None:
    patch = b'<diff xmlns="urn:other"><remove sel="d/a"/></diff>'
    assert xml_patch(b'<d xmlns="urn:other"><a/></d>', patch) == b'<d xmlns="urn:other"/>'
    with pytest.raises(InvalidResource, match="did not match any node"):
        xml_patch(f'<d xmlns="{F}"><a/></d>'.encode(), patch)


def test_a_namespace_is_declared_anew_and_an_idle_one_goes() -> None:
    document = f'<d xmlns="{F}" xmlns:q="urn:q" xmlns:r="urn:r"><q:a/></d>'.encode()
    replace = f'<diff xmlns:f="{F}"><replace sel="f:d/namespace::q">urn:new</replace></diff>'.encode()
    assert etree.fromstring(xml_patch(document, replace))[0].tag == "{urn:new}a"
    for prefix, says in (("q", "in use"), ("s", "not declared")):
        remove = f'<diff xmlns:f="{F}"><remove sel="f:d/namespace::{prefix}"/></diff>'.encode()
        with pytest.raises(InvalidResource, match=says):
            xml_patch(document, remove)
    assert xml_patch(document, f'<diff xmlns:f="{F}"><remove sel="f:d/namespace::r"/></diff>'.encode())


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ('<remove sel="f:d"/>', InvalidResource),
        ('<replace sel="f:d"><e/></replace>', InvalidResource),
        ('<add sel="f:d" pos="before"><e/></add>', InvalidResource),
        ('<replace sel="f:d/f:a"><b/><c/></replace>', InvalidResource),
        ('<replace sel="f:d/f:a">text</replace>', InvalidResource),
        ('<replace sel="f:d/f:a"><!--c--></replace>', InvalidResource),
        ('<replace sel="f:d/@k"><b/></replace>', InvalidResource),
        ('<replace sel="f:d/text()"><b/></replace>', InvalidResource),
        ('<add sel="f:d/@k">x</add>', InvalidResource),
        ('<add sel="f:d/@k" pos="after">x</add>', InvalidResource),
        ('<add sel="f:d/text()">x</add>', InvalidResource),
        ('<add sel="f:d" type="@k">x</add>', InvalidResource),
        ('<add sel="f:d/namespace::p">x</add>', InvalidResource),
        ('<remove sel="f:d/f:a" ws="before"/>', InvalidResource),
        ('<remove sel="f:d/f:a" ws="around"/>', BadRequest),
        ('<remove sel="f:d/@k" ws="both"/>', BadRequest),
        ('<add sel="f:d" pos="inside"><e/></add>', BadRequest),
        ('<add sel="f:d" type="@no:x">x</add>', BadRequest),
        ('<add sel="f:d" type="@1x">x</add>', BadRequest),
        ('<add sel="q:d"><e/></add>', BadRequest),
    ],
)
def test_what_cannot_be_done_is_refused(operation: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        patched('<d k="1">text<a/></d>', operation)
