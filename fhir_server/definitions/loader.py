"""Find the tables of `profiles/` and read them once."""

from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec

from fhir_server.definitions.definitions import Definitions
from fhir_server.definitions.model import Invariant, OperationFacts, PatientLink, SearchParameterDefinition
from fhir_server.definitions.types import Types

T = TypeVar("T")

_PACKAGE = Path(__file__).resolve().parent.parent
# In a wheel the data folders lie inside the package; in a clone or an editable install they lie beside it.
_PLACES = (_PACKAGE / "data" / "profiles", _PACKAGE.parent / "profiles")


def locate() -> Path:
    """The folder with the R4 tables; the hand-made tables lie in its parent.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for place in _PLACES:
        if (place / "r4" / "manifest.json").is_file():
            return place / "r4"
    places = " or ".join(str(place / "r4") for place in _PLACES)
    raise FileNotFoundError(f"the R4 definitions are not in {places}: install again or generate them")


@cache
def load(folder: Path | None = None) -> Definitions:
    """Read the definitions, the installed ones unless a folder is named. Cached: one value for each process."""
    root = folder or locate()
    return Definitions(
        types=Types((root / "elements.json").read_bytes()),
        resource_types=_read(root / "resource_types.json", tuple[str, ...]),
        search_parameters=_read(root / "search_parameters.json", tuple[SearchParameterDefinition, ...]),
        compartments=_read(root / "compartments.json", dict[str, dict[str, tuple[str, ...]]]),
        operations=_read(root / "operations.json", dict[str, OperationFacts]),
        required_codes=_codes(root / "required_codes.json"),
        code_systems=_read(root / "code_systems.json", dict[str, str]),
        invariants=_read(root / "invariants.json", dict[str, Invariant]),
        patient_links=_read(root.parent / "patient_links.json", dict[str, tuple[PatientLink, ...]]),
        patient_mentions=_read(root.parent / "patient_mentions.json", dict[str, tuple[PatientLink, ...]]),
    )


def _read(path: Path, shape: type[T]) -> T:
    return msgspec.json.decode(path.read_bytes(), type=shape)


def _codes(path: Path) -> dict[str, dict[str, str]]:
    table = _read(path, dict[str, dict[str, tuple[str, ...]]])
    return {
        url: {code: system for system, codes in systems.items() for code in codes} for url, systems in table.items()
    }
