"""Results as text that fits: narratives left out, what is too long cut, with a word on what is missing."""

from collections.abc import Mapping
from typing import Any

from fhir_mcp.settings import McpSettings
from fhir_server.plugin_api import encode

_BASE64 = 2_000


def resource_text(resource: Mapping[str, Any], settings: McpSettings) -> str:
    """Return a resource as JSON, cut where it is longer than a result may be."""
    text = encode(slim(resource, settings)).decode()
    if len(text) <= settings.max_result:
        return text
    head = text[: settings.max_result]
    return f"{head}\n[cut: the resource has {len(text)} characters; ask for parts of it with the tool fhirpath]"


def bundle_text(bundle: Mapping[str, Any], settings: McpSettings) -> str:
    """Return a searchset or history as JSON with as many whole entries as fit, and how to get the rest."""
    entries = [_entry(entry, settings) for entry in bundle.get("entry", [])]
    links = {link["relation"]: link["url"] for link in bundle.get("link", [])}
    kept, room = [], settings.max_result
    for entry in entries:
        room -= len(encode(entry))
        if room < 0:
            break
        kept.append(entry)
    found: dict[str, Any] = {"total": bundle["total"]} if "total" in bundle else {}
    found["entries"] = kept
    if len(kept) < len(entries):
        found["cut"] = (
            f"{len(entries) - len(kept)} more of this page do not fit; ask for fewer with count, or use _elements"
        )
    if "next" in links:
        found["next"] = links["next"].rpartition("?")[2] if "?" in links["next"] else links["next"]
    return encode(found).decode()


def slim(resource: Mapping[str, Any], settings: McpSettings) -> dict[str, Any]:
    """Return a resource without narrative and without large binary content."""
    kept = {name: _slim(value) for name, value in resource.items()}
    if not settings.narrative:
        kept.pop("text", None)
    return kept


def _slim(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: f"[{len(child)} characters of base64 left out]"
            if name == "data" and isinstance(child, str) and len(child) > _BASE64
            else _slim(child)
            for name, child in value.items()
        }
    return [_slim(child) for child in value] if isinstance(value, list) else value


def _entry(entry: Mapping[str, Any], settings: McpSettings) -> dict[str, Any]:
    if "resource" not in entry:
        request = entry.get("request", {})
        return {"request": request} if request else dict(entry)
    mode = entry.get("search", {}).get("mode")
    resource = slim(entry["resource"], settings)
    return resource if mode in (None, "match") else {"mode": mode, "resource": resource}
