"""Code systems that are no resources: grammars and short lists of other bodies, and large ones held in files."""

from fhir_server.terminology.systems.folder import HeldSystems
from fhir_server.terminology.systems.installed import installed_systems
from fhir_server.terminology.systems.standard import advice, standard_systems

__all__ = ["HeldSystems", "advice", "installed_systems", "standard_systems"]
