"""Settings: plugins."""

from pathlib import Path
from typing import Any

from pydantic import Field

from fhir_server.settings.kinds import Positive, Section


class Plugins(Section):
    """Plugins."""

    plugins_dir: Path | None = Field(None, description="Folder of plugins, each a package with a MANIFEST.")
    plugins_enabled: tuple[str, ...] = Field((), description="Plugins in force that are not so by themselves.")
    plugins_disabled: tuple[str, ...] = Field((), description="Installed plugins that are not loaded.")
    plugins_apart: tuple[str, ...] = Field((), description="Plugins whose operations run in a process of their own.")
    plugins: dict[str, dict[str, Any]] = Field({}, description="Settings of plugins by their names: `[plugins.NAME]`.")
    plugin_scopes: dict[str, tuple[str, ...]] = Field(
        {}, description="Scopes that plugins are granted, by their names; one not named has those it asks for."
    )
    watchdog: Positive = Field(
        5, description="Seconds for which a plugin may block the event loop before it is broken off."
    )
