"""The table of AEs of this process."""

from dicomweb.dimse.table import Tables
from fhir_server.plugin_api import Host, PluginContext


def tables_of(place: Host | PluginContext) -> Tables:
    """Return it; the file is read when it is first asked for. Raises BadTable: it cannot be used."""
    if "dimse.tables" not in place.shared:
        place.shared["dimse.tables"] = Tables(place.settings.dimse_table)
    found: Tables = place.shared["dimse.tables"]
    return found
