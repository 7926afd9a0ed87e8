"""The response to a message.

Spec: https://hl7.org/fhir/R4/messageheader.html
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import uuid4

from fhir_messaging.envelope import Envelope
from fhir_server.plugin_api import FhirError, PluginContext, instant

Code = Literal["ok", "transient-error", "fatal-error"]


def response(
    ctx: PluginContext, message: Envelope, code: Code, about: Sequence[Mapping[str, Any]] = (), details: Any = None
) -> dict[str, Any]:
    """Return the Bundle that answers a message."""
    header: dict[str, Any] = {
        "resourceType": "MessageHeader",
        "id": ctx.new_id(),
        **{name: message.header[name] for name in ("eventCoding", "eventUri") if name in message.header},
        "source": {"endpoint": f"{ctx.base}/$process-message"},
        "response": {"identifier": message.id, "code": code},
    }
    endpoint = message.header.get("source", {}).get("endpoint")
    if endpoint:
        header["destination"] = [{"endpoint": endpoint}]
    rest = [(_url(each), dict(each)) for each in about]
    if rest:
        header["focus"] = [{"reference": url} for url, _ in rest]
    if details is not None:
        url = _new()
        header["response"]["details"] = {"reference": url}
        rest.append((url, details))
    entries = [(_new(), header), *rest]
    return {
        "resourceType": "Bundle",
        "id": ctx.new_id(),
        "type": "message",
        "timestamp": instant(ctx.now()),
        "entry": [{"fullUrl": url, "resource": resource} for url, resource in entries],
    }


def refusal(ctx: PluginContext, message: Envelope, error: FhirError) -> dict[str, Any]:
    """Return the response that says why a message was not processed."""
    code: Code = "transient-error" if is_transient(error) else "fatal-error"
    issues = [issue.as_json() for issue in error.issues]
    return response(ctx, message, code, details={"resourceType": "OperationOutcome", "issue": issues})


def is_transient(error: FhirError) -> bool:
    """Tell whether the same message may go through later."""
    return error.status >= 500 or error.status in (408, 409, 412, 429)


def _url(resource: Mapping[str, Any]) -> str:
    return _new()


def _new() -> str:
    return f"urn:uuid:{uuid4()}"
