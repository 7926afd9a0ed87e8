"""What each entry of a transaction is: a request with its place in the Bundle, allowed and of a known kind."""

from typing import Literal

import msgspec

from fhir_server.context import Context, Level
from fhir_server.errors import BadRequest, FhirError, Forbidden, UnknownPath, Unsupported
from fhir_server.interactions.entries import Entry, RequestReader, located
from fhir_server.model.exchange import FhirRequest

Kind = Literal["create", "update", "patch", "delete", "read"]
_WRITES: dict[str, Kind] = {"create": "create", "update": "update", "patch": "patch", "delete": "delete"}


class Step(msgspec.Struct, frozen=True):  # a Struct is made five times as fast as a dataclass
    """One entry as a request."""

    entry: Entry
    request: FhirRequest
    kind: Kind


def read_step(ctx: Context, reader: RequestReader, entry: Entry) -> Step:
    """Return the step that an entry stands for.

    Raises:
        FhirError: it names nothing, has no resource where it needs one, or may not be done; with the entry's place.
    """
    try:
        plain = entry.method == "POST" and not entry.headers and "?" not in entry.url
        request = reader.create(entry) if plain else reader.request(entry)
        _check(ctx, request, entry)
    except FhirError as error:
        raise located(error, entry) from error
    return Step(entry, request, _WRITES.get(request.interaction, "read"))


def _check(ctx: Context, request: FhirRequest, entry: Entry) -> None:
    if request.interaction in ("batch", "transaction"):
        raise BadRequest("a transaction cannot hold another", expression="http.url")
    if request.interaction in ("create", "update", "patch") and not entry.resource:
        raise BadRequest(f"{entry.method} needs a resource", expression=request.type or "")
    if not ctx.restriction.may(request.interaction, request.type):
        raise Forbidden(f"{request.interaction} of {request.type or 'the system'} is not allowed")
    if request.interaction == "operation":
        _check_operation(ctx, request)


def _check_operation(ctx: Context, request: FhirRequest) -> None:
    """Only operations that change nothing can be part of a transaction: others write by themselves."""
    level: Level = "instance" if request.id else "type" if request.type else "system"
    operation = ctx.operations.find(request.operation or "", request.type, level)
    if operation is None:
        raise UnknownPath(f"there is no operation ${request.operation} here", expression="http.url")
    if operation.facts.affects_state:
        raise Unsupported(f"${request.operation} cannot be part of a transaction", expression="http.url")
