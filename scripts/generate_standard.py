"""Write fhir_server/search/standard.json: what the expressions of R4's search parameters lead to."""

import json
from pathlib import Path

from fhir_server.definitions import load
from fhir_server.search.parameters_standard import found_out

TARGET = Path(__file__).parents[1] / "fhir_server/search/standard.json"


def text() -> str:
    """Return the file as it should be."""
    return json.dumps(found_out(load()), sort_keys=True, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())
