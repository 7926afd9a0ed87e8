"""Size and hash of an attachment."""

import base64
import hashlib
from typing import Any

import pytest

from fhir_server.validation.findings import Findings
from fhir_server.validation.place import Place
from fhir_server.validation.resources import attachment
from fhir_server.validation.run import Run
from tests.unit.validation.resources.told import knowledge

DATA = base64.b64encode(b"ABC").decode()
HASH = base64.b64encode(hashlib.sha1(b"ABC").digest()).decode()


def severities(value: Any) -> list[str]:
    findings = Findings()
    attachment.check(value, Place(None, "x"), Run(knowledge(), {}, findings))
    return [issue.severity for issue in findings.issues]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"data": DATA, "contentType": "text/plain"}, []),
        ({"data": DATA, "size": 3, "hash": HASH}, []),
        ({"data": DATA[:2] + "\n" + DATA[2:], "size": 3}, []),
        ({"data": DATA, "size": 4}, ["error"]),
        ({"data": DATA, "hash": HASH[::-1]}, []),
        ({"data": DATA, "hash": base64.b64encode(bytes(20)).decode()}, ["error"]),
        ({"url": "http://example.org/a", "size": 4}, []),
        ({"title": "nothing"}, ["warning"]),
        ({"data": "%%%", "size": 9}, []),
        ({"data": 3, "size": "x"}, []),
        ("text", []),
    ],
)
def test_what_is_stated_agrees_with_the_data(value: Any, expected: list[str]) -> None:
    assert severities(value) == expected
