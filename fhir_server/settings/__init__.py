"""Every limit, timeout and default of the server, each with one line of meaning; a module for each section.

Values come from a TOML file, then `FHIR_SERVER_*` variables, then command-line flags; only app.py and cli.py read the
environment. docs/settings.md is held to this package by a test.
"""

from importlib.util import find_spec
from typing import Self

from pydantic import ConfigDict, model_validator

from fhir_server.settings.authority import Authority
from fhir_server.settings.background import Background
from fhir_server.settings.backups import Backups
from fhir_server.settings.kinds import Section
from fhir_server.settings.limits import Limits
from fhir_server.settings.mongodb import MongoDb
from fhir_server.settings.network import Network
from fhir_server.settings.observing import Observing
from fhir_server.settings.plugins import Plugins
from fhir_server.settings.privacy import Privacy
from fhir_server.settings.record import RecordRules
from fhir_server.settings.search_index import SearchIndex
from fhir_server.settings.serving import Serving
from fhir_server.settings.storage import Storage
from fhir_server.settings.tenancy import Tenancy


class Settings(
    Network,
    SearchIndex,
    MongoDb,
    Backups,
    Storage,
    Observing,
    Background,
    Plugins,
    RecordRules,
    Tenancy,
    Privacy,
    Authority,
    Limits,
    Serving,
):  # the fields of the last come first
    """The server's settings. Sizes are bytes, times are seconds unless the name says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=False)

    def __hash__(self) -> int:
        """Some are mappings, which have no hash; those that tell tenants and servers apart are enough for one."""
        return hash((self.data_dir, self.base_url, self.port, self.auth, self.page_size, self.validation))

    @model_validator(mode="after")
    def _engine_is_there(self) -> Self:
        """Refuse an engine whose driver is not installed, and encryption by us where the engine does it."""
        if self.storage == "mongodb" and find_spec("pymongo") is None:
            raise ValueError("storage: mongodb needs a package, pip install 'fhir-server[mongodb]'")
        if self.search_index == "elasticsearch" and find_spec("elasticsearch") is None:
            raise ValueError("search_index: elasticsearch needs a package, pip install 'fhir-server[elasticsearch]'")
        sealed = self.encryption == "on" or (self.encryption == "auto" and self.encryption_key)
        if self.search_index == "elasticsearch" and sealed:
            raise ValueError("encryption: a search index holds the words of the record; encrypt its volumes instead")
        if self.storage == "mongodb" and self.encryption == "on":
            raise ValueError("encryption: on is for the embedded engine; MongoDB encrypts its own files")
        if self.coordinator_url and find_spec("redis") is None:
            raise ValueError("coordinator_url: Redis needs a package, pip install 'fhir-server[redis]'")
        return self

    @model_validator(mode="after")
    def _traces_can_be_sent(self) -> Self:
        """Refuse traces where what sends them is not installed."""
        if self.tracing == "on" and find_spec("opentelemetry.exporter") is None:
            raise ValueError("tracing: on needs a package, pip install 'fhir-server[otel]'")
        return self

    @property
    def shared(self) -> bool:
        """Whether nodes with data folders of their own may share the record."""
        return self.storage == "mongodb"

    @property
    def audited(self) -> bool:
        """Whether requests are audited."""
        return self.audit == "on" or (self.audit == "auto" and self.auth != "none")


SECTIONS: tuple[type[Section], ...] = Settings.__bases__[::-1]
"""The sections in the order in which people read them."""
