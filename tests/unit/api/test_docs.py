"""docs/errors.md is held to the error classes."""

import re
from pathlib import Path

from fhir_server import errors
from fhir_server.errors import FhirError

_ROW = re.compile(r"^\| (\w+) \| (\d{3}) \| ([a-z-]+) \|", re.MULTILINE)


def test_every_error_is_documented_with_its_status_and_code() -> None:
    text = (Path(__file__).parents[3] / "docs" / "errors.md").read_text()
    documented = {(name, int(status), code) for name, status, code in _ROW.findall(text)}
    classes = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, FhirError)]
    assert documented == {(found.__name__, found.status, found.code) for found in classes}
