"""The kinds of bulk work, by the word that their URLs have."""

from typing import Any

from fhir_bulk.exports import EXPORTS
from fhir_bulk.imports import IMPORTS
from fhir_bulk.matches import MATCHES
from fhir_bulk.records import Kind

KINDS: dict[str, Kind[Any]] = {"exports": EXPORTS, "imports": IMPORTS, "matches": MATCHES}
