"""Entity tags and dates of conditional requests."""

import pytest

from fhir_server.interactions.preconditions import etags, not_modified
from fhir_server.model.exchange import FhirRequest
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Body, Version


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ('W/"1"', ("1",)),
        ('"1"', ("1",)),
        ("1", ("1",)),
        ("W/1", ("1",)),
        (' W/"1" , "2",W/"x"', ("1", "2", "x")),
        ("1, 2", ("1", "2")),
        ("*", ("*",)),
        (" * ", ("*",)),
        ("", ()),
        ('""', ("",)),
    ],
)
def test_tags_weak_strong_and_bare(header: str, tags: tuple[str, ...]) -> None:
    assert etags(header) == tags


VERSION = Version(1, ResourceKey("Patient", "a"), 3, 1, 1_700_000_000_900, "PUT", Body(b"{}", 1))


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        ({}, False),
        ({"if-none-match": 'W/"3"'}, True),
        ({"if-none-match": 'W/"2"'}, False),
        ({"if-modified-since": "Tue, 14 Nov 2023 22:13:20 GMT"}, True),
        ({"if-modified-since": "Tue, 14 Nov 2023 23:13:20 +0100"}, True),
        ({"if-modified-since": "Tue, 14 Nov 2023 22:13:19 GMT"}, False),
        ({"if-modified-since": "2023-11-14T22:13:20.900Z"}, True),
        ({"if-modified-since": "2023-11-14T22:13:19Z"}, False),
        ({"if-modified-since": "0"}, False),
        ({"if-modified-since": "\0"}, False),
        ({"if-modified-since": "99999-01-01"}, False),
        ({"if-none-match": 'W/"2"', "if-modified-since": "Tue, 14 Nov 2030 22:13:20 GMT"}, False),
    ],
)
def test_304_for_what_the_client_has(headers: dict[str, str], known: bool) -> None:
    request = FhirRequest("GET", "read", "http://test", headers=headers)
    assert (not_modified(request, VERSION) is not None) is known
