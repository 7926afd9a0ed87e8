"""Functions on strings.

Spec: https://hl7.org/fhirpath/N1/#string-manipulation
"""

import base64
import binascii
import html
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.errors import LimitExceeded
from fhir_server.fhirpath.functions.function import Function, answer, fixed
from fhir_server.fhirpath.node import Collection
from fhir_server.fhirpath.values import integer, string

_JSON_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_JSON_ESCAPED = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def _on_text(name: str, compute: Callable[..., Any]) -> Callable[..., Collection]:
    """A function of the input string and of arguments that are strings; empty when any of them is."""

    def call(run: Run, focus: Collection, *arguments: Collection) -> Collection:
        texts = [string(items, f"{name}()") for items in (focus, *arguments)]
        if any(text is None for text in texts):
            return []
        return answer(compute(*texts))

    return call


def substring(run: Run, focus: Collection, start: Collection, length: Collection | None = None) -> Collection:
    """`substring(start [, length])`; empty when the start lies outside the string."""
    text, first = string(focus, "substring()"), integer(start, "substring()")
    if text is None or first is None or not 0 <= first < len(text):
        return []
    count = integer(length, "substring()") if length is not None else None
    return [text[first:] if count is None else text[first : first + max(0, count)]]


def replace(run: Run, focus: Collection, pattern: Collection, substitution: Collection) -> Collection:
    """`replace(pattern, substitution)`; the empty pattern stands between all characters."""
    text, old, new = (string(items, "replace()") for items in (focus, pattern, substitution))
    if text is None or old is None or new is None:
        return []
    grown = (text.count(old) if old else len(text) + 1) * (len(new) - len(old))
    if len(text) + grown > run.limits.text:
        raise LimitExceeded(f"a string has more than {run.limits.text} characters")
    return [text.replace(old, new)]


def last_index(text: str, part: str) -> int:
    """`lastIndexOf(substring)`; 0 for the empty string.

    Spec: https://hl7.org/fhirpath/#lastindexofsubstring--string--integer
    """
    return text.rfind(part) if part else 0


def trim(text: str) -> str:
    """`trim()`: without the white space of FHIRPath at both ends."""
    return text.strip(" \t\r\n")


def length(text: str) -> int:
    """`length()`."""
    return len(text)


def to_chars(run: Run, focus: Collection) -> Collection:
    """`toChars()`."""
    return run.bounded(list(string(focus, "toChars()") or ""))


def split(run: Run, focus: Collection, separator: Collection) -> Collection:
    """`split(separator)`; the empty separator cuts into characters."""
    text, mark = string(focus, "split()"), string(separator, "split()")
    if text is None or mark is None:
        return []
    return run.bounded(list(text.split(mark) if mark else text))


def join(run: Run, focus: Collection, separator: Collection | None = None) -> Collection:
    """`join([separator])`; empty for an empty collection."""
    mark = string(separator, "join()") if separator else ""
    texts = [text for item in focus if (text := string([item], "join()")) is not None]
    return [run.text((mark or "").join(texts))] if texts else []


# --- encodings


def encode(text: str, form: str) -> str | None:
    """`encode(format)`: hex, base64 or urlbase64."""
    data = text.encode()
    if form == "hex":
        return data.hex()
    if form == "base64":
        return base64.b64encode(data).decode()
    return base64.urlsafe_b64encode(data).decode() if form == "urlbase64" else None


def decode(text: str, form: str) -> str | None:
    """`decode(format)`; empty when the text is not in that format.

    Spec: https://hl7.org/fhirpath/#additional-string-functions
    """
    try:
        return _decoded(text, form)
    except (ValueError, binascii.Error):
        return None


def _decoded(text: str, form: str) -> str | None:
    if form == "hex":
        return bytes.fromhex(text).decode()
    if form == "base64":
        return base64.b64decode(text, validate=True).decode()
    return base64.urlsafe_b64decode(text).decode() if form == "urlbase64" else None


def escape(text: str, target: str) -> str | None:
    """`escape(target)`: html or json."""
    if target == "html":
        return html.escape(text)
    return json.dumps(text, ensure_ascii=False)[1:-1] if target == "json" else None


def unescape(text: str, target: str) -> str | None:
    """`unescape(target)`: html or json."""
    if target == "html":
        return html.unescape(text)
    return _JSON_ESCAPE.sub(_unescaped, text) if target == "json" else None


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _JSON_ESCAPED[match[2]]


FUNCTIONS: Mapping[str, Function] = {
    "indexOf": fixed(_on_text("indexOf", str.find), 1),
    "lastIndexOf": fixed(_on_text("lastIndexOf", last_index), 1),
    "substring": Function(substring, 1, 2),
    "startsWith": fixed(_on_text("startsWith", str.startswith), 1),
    "endsWith": fixed(_on_text("endsWith", str.endswith), 1),
    "contains": fixed(_on_text("contains", str.__contains__), 1),
    "upper": fixed(_on_text("upper", str.upper)),
    "lower": fixed(_on_text("lower", str.lower)),
    "replace": fixed(replace, 2),
    "length": fixed(_on_text("length", length)),
    "trim": fixed(_on_text("trim", trim)),
    "toChars": fixed(to_chars),
    "split": fixed(split, 1),
    "join": Function(join, 0, 1),
    "encode": fixed(_on_text("encode", encode), 1),
    "decode": fixed(_on_text("decode", decode), 1),
    "escape": fixed(_on_text("escape", escape), 1),
    "unescape": fixed(_on_text("unescape", unescape), 1),
}
