"""The FHIR endpoint as one raw ASGI application: decode, dispatch, encode, send; every failure gets an answer.

It uses no framework: a read spends its time in the store, not on the way there (docs/request_flow.md).
"""

import time
from collections.abc import Awaitable, Callable
from functools import partial

from fhir_server.api import cors, decode, errors, formats
from fhir_server.api.body import ClientGone, Receive
from fhir_server.api.decode import OPERATOR, Head, Parts
from fhir_server.api.encode import Answer, answer, converted, plain, whole
from fhir_server.api.formats import Wanted
from fhir_server.api.headers import Scope, client_address
from fhir_server.api.sending import Send, send_answer, sent_at_once, sent_ready
from fhir_server.api.traffic import malformed
from fhir_server.auth.access import stranger
from fhir_server.auth.limits import Limits
from fhir_server.errors import Busy, FhirError, NotAcceptable
from fhir_server.model.exchange import FhirRequest, FhirResponse, Query
from fhir_server.telemetry.logs import REQUEST_ID

MOUNT = decode.MOUNT
Dispatch = Callable[[FhirRequest], Awaitable[FhirResponse]]


_SHAPES = frozenset((400, 404, 405, 406, 415))
_PUBLIC = (b"/metadata", b"/.well-known")


class Edge:
    """Serves FHIR below `mount` by handing requests to `dispatch`, which is set once the server is open, as are the
    `limits` that all processes share."""

    def __init__(self, parts: Parts, mount: str = MOUNT) -> None:
        self.dispatch: Dispatch = not_open
        self._parts = parts
        self._mount = mount
        self.limits = Limits(parts.settings, lambda: time.time_ns() // 1_000_000)
        self._limited = self.limits.has("address")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        root = scope.get("root_path")
        head = decode.head(scope, root + self._mount if root else self._mount)
        REQUEST_ID.set(head.request_id)
        try:
            found = await self._answer(head, receive, send)
            if found is not None and not sent_at_once(found, head.method, send):
                await send_answer(found, head.method, send, self._parts.settings.send_timeout)
        except ClientGone:
            return

    async def _answer(self, head: Head, receive: Receive, send: Send) -> Answer | None:
        """Return the answer; None where it could be sent already."""
        wanted, base, parts, asked = formats.DEFAULT, self._mount, self._parts, False
        try:
            if self._limited:
                await self._spend(head)
            base = decode.base_of(head, parts.settings)
            if head.method == "OPTIONS":
                return self._options(head)
            query = decode.url_query(head, parts.settings)
            wanted, refusal = _wanted(head, query)
            if head.method in decode.WITH_BODY:
                request = await decode.request_with_body(head, base, query, receive, parts)
                wanted, refusal = _wanted(head, request.query)
            else:
                request = decode.request(head, base, query, parts)
            if refusal is not None and not _may_be_raw(request, parts):
                raise refusal
            asked = True
            response = await self.dispatch(request)
            if not wanted.as_stored:
                response = await converted(response, wanted, parts.definitions)
            elif sent_ready(send, partial(whole, response, wanted, head)):
                return None
            return answer(response, wanted, head, base, parts)
        except ClientGone:
            raise
        except Exception as error:
            answered = await self._failed(error, wanted, head, base)
            if not asked:
                malformed(answered.status)
            return answered

    async def _spend(self, head: Head) -> None:
        """Count a request of an address. Raises TooManyRequests."""
        if OPERATOR not in head.scope.get("state", ()):
            await self.limits.spend("address", client_address(head.scope, head.headers, self._parts.settings))

    async def _failed(self, error: Exception, wanted: Wanted, head: Head, base: str) -> Answer:
        response = errors.response_to(self._told(error, head), head.request_id)
        try:
            return answer(await converted(response, wanted, self._parts.definitions), wanted, head, base, self._parts)
        except NotAcceptable:
            return answer(response, formats.DEFAULT, head, base, self._parts)

    def _told(self, error: Exception, head: Head) -> Exception:
        """Return what is told of an error: who shows no token is asked for one, whatever else is wrong."""
        if not isinstance(error, FhirError) or error.status not in _SHAPES or self._parts.settings.auth == "none":
            return error
        if "authorization" in head.headers or OPERATOR in head.scope.get("state", ()) or head.path.startswith(_PUBLIC):
            return error
        return stranger(None)

    def _options(self, head: Head) -> Answer:
        """Answer what may be done here; a preflight is answered for any path."""
        if cors.is_preflight(head.method, head.headers):
            return plain(204, head, self._parts, cors.preflight(head.headers, self._parts.settings))
        allow = decode.route(head, self._parts).allow
        return plain(
            204, head, self._parts, [(b"allow", allow.encode()), (b"accept-patch", decode.ACCEPT_PATCH.encode())]
        )


async def not_open(request: FhirRequest) -> FhirResponse:
    """Ask to come again, before the server is open and once it closes."""
    raise Busy("the server is starting or stopping")


def _wanted(head: Head, query: Query) -> tuple[Wanted, NotAcceptable | None]:
    """Return how to answer and, where nothing will do, the refusal; it goes out as JSON, like all that is not asked."""
    if not query and "wanted" in head.known:
        return head.known["wanted"], None
    accept = head.headers.get("accept", "")
    names = dict(query)
    format_, pretty = names.get("_format"), names.get("_pretty") == "true"
    try:
        if not query:
            wanted = head.known["wanted"] = formats.negotiate(accept)
            return wanted, None
        return formats.negotiate(accept, format_, pretty), None
    except NotAcceptable as refusal:
        return Wanted(formats.DEFAULT.format, pretty), refusal


def _may_be_raw(request: FhirRequest, parts: Parts) -> bool:
    """Tell whether the answer may be of any media type. Spec: https://hl7.org/fhir/R4/binary.html#rest"""
    if request.interaction == "operation":
        return request.operation in parts.any_format
    return request.type == "Binary" and request.interaction in ("read", "vread")
