"""A server with one plugin alone, so that a test is about it."""

from importlib.metadata import entry_points


def but(*names: str) -> tuple[str, ...]:
    """Return the installed plugins but these: for the setting `plugins_disabled`."""
    return tuple(each.name for each in entry_points(group="fhir_server.plugins") if each.name not in names)
