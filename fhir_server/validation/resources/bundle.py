"""Bundle: full URLs, what each type of Bundle asks for, and that references within it mean one entry.

Spec: https://hl7.org/fhir/R4/bundle.html
"""

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.bundle_document import check_document, check_message
from fhir_server.validation.resources.bundle_entries import Entries, Entry, is_absolute, rest_parts
from fhir_server.validation.resources.bundle_links import check_links
from fhir_server.validation.resources.bundle_references import check_references
from fhir_server.validation.resources.bundle_searchset import check_searchset
from fhir_server.validation.resources.signature import check as check_signature
from fhir_server.validation.resources.values import text
from fhir_server.validation.run import Run

Json = Mapping[str, Any]

_BY_TYPE = {"document": check_document, "message": check_message, "searchset": check_searchset}
_REQUESTS = ("transaction", "batch")
_ANSWERS = ("transaction-response", "batch-response", "history")
_WITHOUT_URLS = (*_REQUESTS, "transaction-response", "batch-response", "")


def check(bundle: Json, place: Place, run: Run) -> None:
    """Check a Bundle as a whole; its entries are checked by themselves."""
    type_ = text(bundle, "type")
    entries = Entries(bundle, strict=type_ not in _REQUESTS)
    check_links(bundle, type_, place, run)
    for entry in entries.all:
        _check_full_url(entry, type_, place, run)
    if type_ in _BY_TYPE:
        _BY_TYPE[type_](bundle, entries, place, run)
    if "signature" in bundle:
        check_signature(bundle, place, run)
    if type_ not in _ANSWERS:
        check_references(entries, place, run)


# Systems and sets of HL7 v2 and v3 have ids of another form than their URLs.
_named_otherwise = re.compile(r"http://terminology\.hl7\.org/(?:CodeSystem|ValueSet)/v[23]-").match


def _check_full_url(entry: Entry, type_: str, place: Place, run: Run) -> None:
    """Check one full URL. Spec: https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl"""
    at = Place(place, "entry", entry.index)
    if not entry.url:
        if type_ not in _WITHOUT_URLS:
            run.error(at, "invalid", f"an entry of a {type_} must have a fullUrl: the identity of its resource")
        return
    if not is_absolute(entry.url):
        run.error(at, "invalid", f"the fullUrl must be absolute, not {entry.url[:200]!r}")
        return
    own = text(entry.resource, "url")
    if own == entry.url and not own.endswith("/" + text(entry.resource, "id")) and not _named_otherwise(own):
        text_ = f"the fullUrl is the canonical URL {own[:200]!r}, which does not end in the id of the resource"
        run.error(at, "invalid", text_)
        return
    parts = rest_parts(entry.url, run.knowledge.definitions.resource_types)
    if parts is None or not entry.resource:
        return
    given = text(entry.resource, "resourceType"), text(entry.resource, "id")
    if not given[1]:
        # What a transaction creates has no id yet.
        if type_ not in _REQUESTS:
            run.error(at, "invalid", f"the fullUrl {entry.url[:200]!r} is that of a server, but the resource has no id")
    elif given != parts:
        wanted = "/".join(given)
        run.error(
            at, "invalid", f"the fullUrl {entry.url[:200]!r} must end in the resource's type and id, {wanted[:130]}"
        )
