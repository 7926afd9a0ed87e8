"""A message as it came: a Bundle whose first entry is a MessageHeader.

Spec: https://hl7.org/fhir/R4/messaging.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from fhir_server.plugin_api import BadRequest, InvalidResource, Issue, PluginContext, encode

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message. id: of the message, which stays when it is sent again; envelope: of this sending."""

    bundle: Json
    header: Json
    id: str
    envelope: str
    event: str

    @property
    def resources(self) -> dict[str, Json]:
        """All resources but the header, by fullUrl."""
        entries = self.bundle["entry"][1:]
        return {str(e.get("fullUrl") or number): e["resource"] for number, e in enumerate(entries) if "resource" in e}

    @property
    def focus(self) -> list[Json]:
        """The resources that the header names as what it is about, as far as they came with it."""
        named = [str(each.get("reference", "")) for each in self.header.get("focus", [])]
        return [found for name in named if (found := self._named(name)) is not None]

    @property
    def digest(self) -> str:
        """A hash of what the message says: the same for each sending."""
        return sha256(encode([entry.get("resource") for entry in self.bundle["entry"]])).hexdigest()

    def _named(self, reference: str) -> Json | None:
        for url, resource in self.resources.items():
            if url == reference or f"{resource.get('resourceType')}/{resource.get('id')}" == reference:
                return resource
        return None


def opened(ctx: PluginContext, bundle: Json) -> Envelope:
    """Return the message in a Bundle.

    Raises:
        BadRequest: it is no message.
        InvalidResource: it breaks rules of FHIR; all findings at once.
    """
    entries: Any = bundle.get("entry")
    first = entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], dict) else {}
    header = first.get("resource")
    if bundle.get("type") != "message" or not isinstance(header, dict) or header.get("resourceType") != "MessageHeader":
        raise BadRequest("send a Bundle of type message whose first entry is a MessageHeader", expression="Bundle")
    issues = ctx.core.validator.check(dict(bundle), "Bundle", level="structure")
    wrong = [issue for issue in issues if issue.severity in ("error", "fatal")]
    if wrong:
        raise InvalidResource(wrong[0].diagnostics, issues=wrong)
    if header.get("response"):
        raise BadRequest(
            "this is a response; no request of this server waits for one", expression="Bundle.entry[0].resource"
        )
    id_ = str(header.get("id") or first.get("fullUrl") or "")
    event = event_of(header)
    missing = [name for name, value in (("id", id_), ("event", event)) if not value]
    if missing:
        issues = [
            Issue(f"the MessageHeader needs {name}", "required", expression=("MessageHeader",)) for name in missing
        ]
        raise InvalidResource(issues[0].diagnostics, issues=issues)
    identifier = bundle.get("identifier") or {}
    envelope = str(bundle.get("id") or f"{identifier.get('system', '')}|{identifier.get('value', '')}".strip("|"))
    return Envelope(bundle, header, id_, envelope, event)


def event_of(header: Json) -> str:
    """Return the event of a MessageHeader or MessageDefinition: `system|code` or a URI."""
    coding = header.get("eventCoding")
    if isinstance(coding, Mapping):
        return f"{coding.get('system', '')}|{coding.get('code', '')}"
    return str(header.get("eventUri") or "")


def count_of(resources: Sequence[Json], type_: str) -> int:
    """Return how many resources are of a type."""
    return sum(resource.get("resourceType") == type_ for resource in resources)
