"""Where code systems lie that come with the server, and those that a site has loaded."""

import json
from pathlib import Path

from fhir_server.definitions import locate
from fhir_server.terminology.code_system import Systems
from fhir_server.terminology.systems.folder import HeldSystems
from fhir_server.terminology.systems.layout import FORMAT
from fhir_server.terminology.systems.standard import standard_systems

FOLDER = "terminology"
"""Within the data folder: what was loaded."""


def facts() -> Path:
    """Return the folder `terminology/` of the installation."""
    return locate().parent.parent / "terminology"


def manifest() -> dict[str, str]:
    """Return what is known of the ICD-10-CM that comes with the server."""
    found: dict[str, str] = json.loads((facts() / "icd-10-cm.json").read_text())
    return found


def built() -> Path:
    """Return the folder where the installation keeps what it has made of its facts."""
    return facts() / f"built-{FORMAT}-{manifest()['sha256'][:8]}"


class InstalledSystems(Systems):
    """All code systems that are no resources: what the site loaded, over what the installation has."""

    def __init__(self, data_dir: Path) -> None:
        self._held = HeldSystems(data_dir / FOLDER, built())
        super().__init__(self._held, standard_systems())

    @property
    def generation(self) -> int:
        """Return a number that rises when a system was loaded, replaced or removed: answers kept may be wrong then."""
        return self._held.generation


def installed_systems(data_dir: Path) -> InstalledSystems:
    """Return the provider of a data folder."""
    return InstalledSystems(data_dir)
