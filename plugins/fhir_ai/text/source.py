"""Source: the text of a DocumentReference, from its attachment itself or from the Binary that it names."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_ai.text.html import Shown, shown
from fhir_server.plugin_api import BadRequest, PluginContext, Resource, TooLarge

_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_TEXTS: Final = frozenset(("text/plain", "text/html", "application/xhtml+xml", "text/markdown", ""))
_HTMLS: Final = frozenset(("text/html", "application/xhtml+xml"))


@dataclass(frozen=True, slots=True)
class Source:
    """The text of one attachment, as people read it. attachment: its place among the contents. cut: it goes on."""

    attachment: int
    shown: Shown
    cut: bool


async def sources(ctx: PluginContext, document: Resource, most: int) -> list[Source]:
    """Return the texts of a document, the first `most` characters of each.

    Raises:
        BadRequest: it has no text that can be read.
        TooLarge: an attachment is larger than any text of `most` characters.
    """
    found, reasons = [], []
    for number, content in enumerate(document.get("content", ())):
        attachment = content.get("attachment", {})
        kind = str(attachment.get("contentType", "")).partition(";")[0].strip().lower()
        if kind not in _TEXTS:
            reasons.append(f"content[{number}] is {kind[:60]}, no text")
            continue
        data = await _data(ctx, attachment, number)
        if data is None:
            reasons.append(f"content[{number}] has neither data nor the URL of a Binary of this server")
            continue
        raw, kind = (data[0], kind or data[1])
        if len(raw) > 4 * most + 1024:
            raise TooLarge(f"content[{number}] has {len(raw)} bytes; texts may have {most} characters")
        text = _decoded(raw, str(attachment.get("contentType", "")), number)
        page = shown(text[:most]) if kind in _HTMLS else Shown(text[:most])
        found.append(Source(number, page, len(text) > most))
    if not found:
        raise BadRequest("; ".join(reasons) or "the document has no content", expression="DocumentReference.content")
    return found


async def _data(ctx: PluginContext, attachment: Mapping[str, Any], number: int) -> tuple[bytes, str] | None:
    """Return the bytes of an attachment, and the type that a Binary says it has."""
    place = f"DocumentReference.content[{number}].attachment"
    if "data" in attachment:
        return _bytes(str(attachment["data"]), f"{place}.data"), ""
    url = str(attachment.get("url", "")).removeprefix(f"{ctx.base}/")
    type_, _, id_ = url.partition("/")
    if type_ != "Binary" or not id_ or "/" in id_:
        return None
    binary = await ctx.client.read("Binary", id_)
    kind = str(binary.get("contentType", "")).partition(";")[0].strip().lower()
    return _bytes(str(binary.get("data", "")), f"{place}.url"), kind


def _bytes(text: str, place: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest("the data are not base64", expression=place) from None


def _decoded(raw: bytes, content_type: str, number: int) -> str:
    """Decode by the charset that is said, else as UTF-8, else as what Windows writes."""
    met = _CHARSET.search(content_type)
    place = f"DocumentReference.content[{number}].attachment.contentType"
    if met:
        try:
            return raw.decode(met[1])
        except (LookupError, UnicodeDecodeError):
            raise BadRequest(f"the text is not {met[1]}, as its content type says", expression=place) from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")
