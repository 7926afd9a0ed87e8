"""Plugins: finds, checks and orders them; what they add is plain values that the server takes as its own."""

from fhir_server.plugins.finding import Found, PluginFault, find
from fhir_server.plugins.loading import Loaded, Plugins, load_found, load_plugins
from fhir_server.plugins.manifest import API_VERSION, GROUP, Manifest, NoSettings, PluginGrant

__all__ = [
    "API_VERSION",
    "GROUP",
    "Found",
    "Loaded",
    "Manifest",
    "NoSettings",
    "PluginFault",
    "PluginGrant",
    "Plugins",
    "find",
    "load_found",
    "load_plugins",
]
