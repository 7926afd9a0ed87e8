"""Manifest: what a plugin says of itself; a package offers it under the entry point group `fhir_server.plugins`."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

API_VERSION = (1, 0)
"""Version of the plugin API: the first number changes when plugins have to, the second when something is added."""
GROUP = "fhir_server.plugins"
"""The entry point group; the value of an entry point names a Manifest, `fhir_bulk:MANIFEST`."""


class NoSettings(BaseModel):
    """The settings of a plugin that has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One plugin.

    name: also that of its settings (`[plugins.NAME]`), its records and its client in the audit; a Python identifier.
    module: where its hooks are, imported only when all it needs is there: `fhir_bulk.plugin`.
    hooks: names of the hooks that the module implements, exactly these.
    api: the range of API versions it works with: `>=1.0,<2`.
    settings: a frozen pydantic model; each field has a default and a description.
    scopes: what it asks for, as SMART system scopes: `system/Observation.rs`. It is given no more.
    packages: distributions that it needs beside the server, as requirements: `pyarrow>=15`.
    extra: the extra of its own distribution that installs them: `fhir-server[bulk]`.
    provides, requires: names of services that it offers to other plugins, or uses of them.
    uses: names of services that it uses where they are there, and does without where they are not.
    sends: which data it sends out of the server, and where; empty for none.
    enabled: whether it works without being named in `plugins_enabled`.
    past_consent: its own work is not limited by Consents and security labels, as that of an auditor; `plugins list`
        says so.
    """

    name: str
    version: str
    module: str
    summary: str
    hooks: tuple[str, ...]
    api: str = ">=1.0,<2"
    settings: type[BaseModel] = NoSettings
    scopes: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    extra: str = ""
    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    sends: str = ""
    enabled: bool = True
    past_consent: bool = False


@dataclass(frozen=True, slots=True)
class PluginGrant:
    """What a plugin may do by itself: its scopes, and whether Consents and labels limit them."""

    scopes: str = ""
    past_consent: bool = False
