"""Links between the entries of a transaction, rewritten to where the resources really are.

Nearly every link is a `Reference.reference` that equals a fullUrl: those are replaced by one regular expression on the
raw bytes. Where a fullUrl may stand elsewhere (an element of type uri, a link in the narrative) the resource takes
the exact road through the definitions.

Spec: https://hl7.org/fhir/R4/http.html#trules
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.interactions.transaction.links import Place, replace_links
from fhir_server.model.json import JsonError, decode, encode

_REFERENCE = re.compile(rb'"reference":"([^"\\]*(?:\\.[^"\\]*)*)"')
_CONDITIONAL = re.compile(rb'"reference":("[A-Z][A-Za-z]*\?[^"\\]*(?:\\.[^"\\]*)*")')
_WITH_VERSION = re.compile(rb'"([^"\\]*)/_history/[^"\\]*"')
_VERSIONED = re.compile(r"(.*?)(/_history/[^/#]+)?(#.*)?", re.DOTALL)
_RESTFUL = re.compile(r"(https?://.*/)[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_BEFORE = b'"reference":"'
_UUID = 36  # characters after `urn:uuid:`
_ANY_DEPTH = 1_000_000


class References:
    """Where the resources of one transaction are.

    Args:
        definitions: say which elements are URIs.
        targets: fullUrl to `Type/id`.
        criteria: conditional reference to `Type/id`.
        versions: `Type/id` to the version that it will have, for references that name a version.
    """

    def __init__(
        self,
        definitions: Definitions,
        targets: Mapping[str, str],
        criteria: Mapping[str, str],
        versions: Mapping[str, int],
    ) -> None:
        self._definitions = definitions
        self._targets = targets
        self._criteria = criteria
        self._versions = versions
        self._raw = {url.encode(): target.encode() for url, target in {**targets, **criteria}.items()}
        self._by_uuid = {url.encode()[9:]: t.encode() for url, t in targets.items() if _is_uuid(url)}
        self._only_uuids = len(self._by_uuid) == len(self._raw)
        self._starts = tuple({_start(url).encode() for url in targets})
        self._in_references = tuple(_BEFORE + start for start in self._starts)

    def rewrite(self, raw: bytes, full_url: str | None) -> bytes:
        """Return a minified resource with its links replaced; `full_url` is its own, for relative references."""
        if not self._raw:
            return raw
        base = root_of(full_url)
        if self._only_uuids and not base:
            quick = self._quickly(raw)
            if quick is not None:
                return quick
        return self._by_pattern(raw, base)

    def _quickly(self, raw: bytes) -> bytes | None:
        """Do the usual case by splitting; None where a fullUrl stands elsewhere, or something may hide one."""
        if b"\\" in raw and (b"\\u" in raw or b"\\/" in raw):
            return None
        first, *parts = raw.split(b"urn:uuid:")
        done, before = [first], first
        for part in parts:
            target = self._by_uuid.get(part[:_UUID])
            if target is None:
                done += (b"urn:uuid:", part)
            elif before.endswith(_BEFORE) and part[_UUID : _UUID + 1] == b'"':
                done += (target, part[_UUID:])
            else:
                return None
            before = part
        return b"".join(done)

    def _by_pattern(self, raw: bytes, base: str) -> bytes:
        if self._elsewhere(raw):
            return self._exactly(raw, base)
        table = self._raw

        def replaced(match: re.Match[bytes]) -> bytes:
            target = table.get(match[1])
            if target is None:
                return self._unusual(match, base)
            return b'"reference":"%b"' % target

        return _REFERENCE.sub(replaced, raw)

    def resolve(self, link: str, base: str, place: Place = "reference") -> str | None:
        """Return what a link becomes, None where it is not one of this transaction.

        Only references can be searches, and an element of type uri is what it says: no base makes it another.
        """
        base = "" if place == "uri" else base
        bare, version, fragment = _VERSIONED.fullmatch(link).groups()  # type: ignore[union-attr]  # matches anything
        target = self._targets.get(bare) or (self._targets.get(base + bare) if base else None)
        if target is None:
            return self._criteria.get(link) if place == "reference" else None
        number = self._versions.get(target) if version else None
        return target + (f"/_history/{number}" if number else "") + (fragment or "")

    def _unusual(self, match: re.Match[bytes], base: str) -> bytes:
        """Look closer at a reference that is no fullUrl as it stands: relative, versioned, escaped or of others."""
        link = _text(b'"' + match[1] + b'"')
        target = None if link is None else self.resolve(link, base)
        return match[0] if target is None else b'"reference":' + encode(target)

    def _elsewhere(self, raw: bytes) -> bool:
        """Tell whether a fullUrl may stand anywhere but in a Reference; the counting takes a microsecond."""
        if _holds_links(raw):
            return True
        return sum(map(raw.count, self._starts)) != sum(map(raw.count, self._in_references))

    def _exactly(self, raw: bytes, base: str) -> bytes:
        try:
            resource: dict[str, Any] = decode(raw, max_depth=_ANY_DEPTH)
        except JsonError:
            return raw  # it is refused in a moment, when it is prepared
        type_ = resource.get("resourceType")
        if not isinstance(type_, str) or type_ not in self._definitions.types:
            return raw
        replaced = replace_links(
            self._definitions, type_, resource, lambda link, place: self.resolve(link, base, place)
        )
        return encode(replaced)


def conditional_references(raws: Iterable[bytes]) -> set[str]:
    """Return the references that are searches, such as `Patient?identifier=123`.

    Spec: https://hl7.org/fhir/R4/http.html#trules
    """
    found = {match for raw in raws if b"?" in raw for match in _CONDITIONAL.findall(raw)}
    return {link for link in map(_text, found) if link is not None}


def named_with_version(raws: Iterable[bytes]) -> set[str]:
    """Return what references name together with a version, the version left out."""
    found = {match for raw in raws if b"/_history/" in raw for match in _WITH_VERSION.findall(raw)}
    return {match.decode() for match in found}


def _text(token: bytes) -> str | None:
    """Return the text of a JSON string; None for one that FHIR does not allow, which is refused later."""
    try:
        text = decode(token)
    except JsonError:
        return None
    return text if isinstance(text, str) else None


def root_of(full_url: str | None) -> str:
    """Return the base with its final slash of a RESTful fullUrl, against which relative references are resolved.

    Spec: https://hl7.org/fhir/R4/bundle.html#references
    """
    match = _RESTFUL.fullmatch(full_url) if full_url else None
    return match[1] if match else ""


def _holds_links(raw: bytes) -> bool:
    """Tell whether there are links in the narrative, or characters spelt in a way that hides links from a search."""
    return b"href=" in raw or b"src=" in raw or b"\\u" in raw or b"\\/" in raw


def _is_uuid(url: str) -> bool:
    return url.startswith("urn:uuid:") and len(url) == 9 + _UUID


def _start(url: str) -> str:
    """Return how a fullUrl begins: short enough to have few of them, long enough to be rare elsewhere."""
    for scheme in ("urn:uuid:", "urn:oid:"):
        if url.startswith(scheme):
            return scheme
    return root_of(url) or url
