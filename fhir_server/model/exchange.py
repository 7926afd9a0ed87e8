"""FhirRequest and FhirResponse: one FHIR interaction, known to no web framework."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version

Query = tuple[tuple[str, str], ...]


class FhirRequest(msgspec.Struct, frozen=True):
    """What a client asks, whether by HTTP or as an entry of a Bundle.

    `interaction` is the code of the R4 interaction (`read`, `vread`, `update`, `patch`, `delete`, `create`,
    `history-instance`, `history-type`, `history-system`, `search-type`, `search-system`, `search-compartment`,
    `capabilities`, `batch`, `transaction`) or `operation`; conditional forms carry their criteria in `query`.
    `base` is the absolute URL of the FHIR endpoint without a final slash; `headers` has lower-case names.
    `body` is the raw body as JSON bytes (XML is converted at the edge; a Binary or a patch stays as it came).
    `query` are the decoded parameters in their order, those of a POST `_search` body included.
    `grant` is never set by a client: under it the server goes on with a request by itself (a job), `*` being its own.
    `address` is where it came from on the network; empty for an entry of a Bundle and for what is local.
    """

    method: str
    interaction: str
    base: str
    type: str | None = None
    id: str | None = None
    vid: str | None = None
    operation: str | None = None
    compartment: ResourceKey | None = None
    query: Query = ()
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    content_type: str = "application/fhir+json"
    tenant: str = "default"
    request_id: str = ""
    grant: str = ""
    address: str = ""

    def but(self, **changes: Any) -> "FhirRequest":
        """Return the same request with some things changed."""
        return msgspec.structs.replace(self, **changes)

    @property
    def key(self) -> ResourceKey:
        """The resource that the URL names; only for interactions on an instance."""
        if self.type is None or self.id is None:
            raise ValueError(f"{self.interaction} names no resource")
        return ResourceKey(self.type, self.id)

    def parameter(self, name: str) -> str | None:
        """Return the last value of a query parameter, or None."""
        return next((value for key, value in reversed(self.query) if key == name), None)

    def preference(self, name: str) -> str | None:
        """Return the value of one preference of the `Prefer` header, such as `return`. Spec: RFC 7240"""
        prefer = self.headers.get("prefer")
        if not prefer:
            return None
        for part in prefer.replace(";", ",").split(","):
            key, _, value = part.strip().partition("=")
            if key.strip().lower() == name:
                return value.strip().strip('"')
        return None


class FhirResponse(msgspec.Struct, frozen=True):
    """What the client gets: chunks of JSON bytes that the edge copies, or converts to XML or pretty JSON.

    `version` is the version that a read or write ended in (ETag, Last-Modified, Location come from it);
    `media_type` is set only when the body is not a FHIR resource in JSON (a raw Binary, NDJSON).
    `stream` is a body of any length in the place of `body`, with a `media_type`; it is read while it is sent, so what
    goes wrong then can only break the connection off.
    """

    status: int = 200
    body: Sequence[bytes] = ()
    version: Version | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    media_type: str | None = None
    stream: AsyncIterator[bytes] | None = None

    @classmethod
    def of_version(cls, version: Version, status: int = 200) -> "FhirResponse":
        """Answer with the stamped bytes of one version."""
        return cls(status, (version.stamped(),), version)
