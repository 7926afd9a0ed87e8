"""XHTML in narratives: what is safe and what is not."""

import time

import pytest

from fhir_server.validation.structure.narrative import fault, is_safe
from tests.unit.validation.builders import DIV

SAFE = (
    "text",
    "",
    "<p style='color: red' class='a' id='b' title='c' lang='en' dir='rtl'>a</p>",
    "<h1>a</h1><h6>b</h6><br/><hr/><blockquote cite='http://x.org'><p>c</p></blockquote>",
    "<table border='1' summary='a'><caption>c</caption><colgroup><col span='2'/></colgroup>"
    "<thead><tr><th scope='col'>a</th>"
    "</tr></thead><tbody><tr><td colspan='2' rowspan='1'>b</td></tr></tbody></table>",
    "<ul><li>a</li></ul><ol><li>b</li></ol><dl><dt>c</dt><dd>d</dd></dl>",
    "<a href='http://x.org'>a</a><a href='#b'>b</a><a name='c'>c</a><a href='mailto:a@x.org'>d</a>",
    "<img src='#img' alt='a'/><img src='data:image/png;base64,AAAA'/><img src='pic.png'/>",
    "<b>a</b><i>b</i><em>c</em><strong>d</strong><code>e</code><pre>f</pre><span>g</span><sub>1</sub><sup>2</sup>",
    "&#160;&lt;&amp;&quot;",
    "<!-- a comment -->a",
    "<p>javascript: is a word here</p>",
    "<td style='background-image: url(tbl_bck1.png)'>a</td>",
    "<p xml:lang='en'>a</p>",
)
UNSAFE = (
    "<script>alert(1)</script>",
    "<SCRIPT>alert(1)</SCRIPT>",
    "<p onclick='x()'>a</p>",
    "<p ONCLICK='x()'>a</p>",
    "<img src='x' onerror='alert(1)'/>",
    "<a href='javascript:alert(1)'>a</a>",
    "<a href='JaVaScRiPt:alert(1)'>a</a>",
    "<a href=' &#9;java&#10;script:alert(1)'>a</a>",
    "<a href='&#106;avascript:alert(1)'>a</a>",
    "<a href='&#x200b;javascript:alert(1)'>a</a>",
    "<a href='vbscript:x'>a</a>",
    "<a href='data:text/html,x'>a</a>",
    "<img src='data:image/svg+xml;base64,AAAA'/>",
    "<img src='file:///etc/passwd'/>",
    "<p style='background:url(javascript:alert(1))'>a</p>",
    "<p style='width: expression(alert(1))'>a</p>",
    "<p style='width: exp/**/ression(alert(1))'>a</p>",
    "<p style='x: java\\script:a'>a</p>",
    "<p style='-moz-binding: url(x)'>a</p>",
    "<p style='@import x'>a</p>",
    "<iframe src='http://x.org'/>",
    "<object data='x'/>",
    "<form action='x'><input/></form>",
    "<link rel='stylesheet' href='x'/>",
    "<base href='http://x.org'/>",
    "<style>a</style>",
    "<meta/>",
    "<svg xmlns='http://www.w3.org/2000/svg' onload='x'/>",
    "<math/>",
    "<font>a</font>",
    "<body>a</body>",
    "<p foo='a'>a</p>",
    "<p xmlns:x='u:x' x:href='a'>a</p>",
    "<p xmlns='u:other'>a</p>",
    "<?xml-stylesheet href='x'?>",
    "&nbsp;",
    "<p>",
    "</div>",
    "a & b",
    "<p a='1' a='2'>a</p>",
)


@pytest.mark.parametrize("content", SAFE)
def test_safe_content_is_accepted(content: str) -> None:
    assert fault(DIV.format(content)) is None
    assert is_safe(DIV.format(content))


@pytest.mark.parametrize("content", UNSAFE)
def test_unsafe_content_is_refused_with_a_reason(content: str) -> None:
    assert fault(DIV.format(content))
    assert not is_safe(DIV.format(content))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "<div>no namespace</div>",
        "<p xmlns='http://www.w3.org/1999/xhtml'>not a div</p>",
        "<div xmlns='http://www.w3.org/1999/xhtml'>a</div><div/>",
        "<?xml version='1.0'?><div xmlns='http://www.w3.org/1999/xhtml'>a</div>",
        "<?xml version='1.0' encoding='utf-8'?><div xmlns='http://www.w3.org/1999/xhtml'>a</div>",
        "<!DOCTYPE div><div xmlns='http://www.w3.org/1999/xhtml'>a</div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'>\x00</div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'>\ud800</div>",
    ],
)
def test_what_is_not_one_xhtml_div_is_refused(text: str) -> None:
    assert fault(text)


def test_prefix_for_xhtml_is_accepted() -> None:
    assert fault("<h:div xmlns:h='http://www.w3.org/1999/xhtml'><h:p>a</h:p></h:div>") is None


def test_entities_are_not_expanded() -> None:
    laughs = "".join(f"<!ENTITY a{i + 1} '{f'&a{i};' * 10}'>" for i in range(9))
    bomb = f"<!DOCTYPE div [<!ENTITY a0 'ha'>{laughs}]><div xmlns='http://www.w3.org/1999/xhtml'>&a9;</div>"
    start = time.perf_counter()
    assert fault(bomb) == "document types and entities are not allowed"
    assert time.perf_counter() - start < 0.1


def test_file_is_not_read() -> None:
    text = "<!DOCTYPE div [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><div xmlns='http://www.w3.org/1999/xhtml'>&x;</div>"
    assert fault(text) == "document types and entities are not allowed"


def test_deep_and_large_narratives_take_little_time() -> None:
    start = time.perf_counter()
    assert fault(DIV.format("<b>" * 100_000 + "</b>" * 100_000))
    assert fault(DIV.format("<p>a</p>" * 100_000)) is None
    assert fault(DIV.format(f"<p style='{'/*' * 100_000}'>a</p>")) is None
    assert fault(DIV.format(f"<a href='{' ' * 1_000_000}javascript:x'>a</a>"))
    assert time.perf_counter() - start < 3


def test_an_element_with_very_many_attributes_is_refused_at_once() -> None:
    many = " ".join(f'a{number}="x"' for number in range(100_000))
    assert "more attributes than there are" in str(fault(f'<div xmlns="http://www.w3.org/1999/xhtml" {many}>x</div>'))
