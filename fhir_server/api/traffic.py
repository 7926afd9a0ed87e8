"""How many requests were answered, how, and how fast: counted, and the slow ones named in the log.

Nothing but interaction, resource type, status and the names of search parameters is kept of a request.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from functools import cached_property
from time import perf_counter
from typing import Final

from fhir_server.api.traced import answered, named
from fhir_server.errors import FhirError
from fhir_server.model.exchange import FhirRequest, FhirResponse, Query
from fhir_server.telemetry import tracing
from fhir_server.telemetry.numbers import (
    REFUSALS,
    REQUEST_SECONDS,
    REQUESTS,
    SLOW_REQUESTS,
    SLOW_SEARCHES,
)

GONE: Final = 499
"""The status of a request whose client went away."""

_AUTHORITY: Final = frozenset((401, 403))
_MOST_NAMES: Final = 20
_SPECIAL: Final = (
    "_contained", "_containedType", "_count", "_elements", "_filter", "_format", "_has", "_include", "_pretty",
    "_revinclude", "_sort", "_summary", "_total", "above", "below", "code-text", "contains", "exact", "identifier",
    "in", "iterate", "missing", "not", "not-in", "of-type", "recurse", "text",
)  # fmt: skip
"""Parameters and modifiers that are of no type."""

_log = logging.getLogger("fhir_server.slow")
_access = logging.getLogger("fhir_server.access")

Dispatch = Callable[[FhirRequest], Awaitable[FhirResponse]]


class Traffic:
    """Counts requests.

    Args:
        slow: seconds from which a request is named in the log; 0: never.
        access: write a line of the log for each request.
        operations: codes that there are; another one is counted as `$unknown`.
        parameters: gives the names of search parameters that may stand in the log; another one is shown as `?`.
    """

    def __init__(
        self,
        slow: float = 0,
        *,
        access: bool = False,
        operations: Collection[str] = (),
        parameters: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._slow, self._access = slow or float("inf"), access
        self._operations, self._known_by = frozenset(operations), parameters

    @cached_property
    def _parameters(self) -> frozenset[str]:
        return frozenset((*self._known_by(), *_SPECIAL))

    def counted(self, dispatch: Dispatch) -> Dispatch:
        """Return the dispatcher with its requests counted."""

        async def answer(request: FhirRequest) -> FhirResponse:
            began, status = perf_counter(), 500
            try:
                response = await dispatch(request)
                status = response.status
                return response
            except FhirError as error:
                status = error.status
                raise
            except asyncio.CancelledError:
                status = GONE
                raise
            finally:
                self.add(request, status, perf_counter() - began)

        return answer

    def add(self, request: FhirRequest, status: int, seconds: float) -> None:
        """Count one request."""
        name = request.interaction
        if name == "operation":
            name = self._named(request, status)
        REQUESTS.add(name, request.type or "", str(status))
        REQUEST_SECONDS.observe(seconds, name)
        if tracing.is_on():
            named(name, request.type or "")
            answered(status)
        if status in _AUTHORITY:
            REFUSALS.add(str(status))
        if seconds >= self._slow:
            SLOW_REQUESTS.add(name)
            if name.startswith("search"):
                SLOW_SEARCHES.add(request.type or "")
            _log.warning("slow: %s took %.3f s, status %d", self.template(request, name), seconds, status)
        if self._access:
            _access.info("%s %d %.1f ms", self.template(request, name), status, seconds * 1_000)

    def template(self, request: FhirRequest, name: str = "") -> str:
        """Return a request without anything that a client chose: `search-type Patient ?birthdate&name:exact`."""
        parts = [name or request.interaction, request.type or ""]
        if request.query:
            parts.append(f"?{'&'.join(self._names(request.query))}")
        return " ".join(part for part in parts if part)

    def _names(self, query: Query) -> list[str]:
        names = sorted({name for name, _ in query})[:_MOST_NAMES]
        return ["".join(_pieces(name, self._parameters)) for name in names]

    def _named(self, request: FhirRequest, status: int) -> str:
        code = request.operation or ""
        return "$unknown" if status >= 400 and code not in self._operations else f"${code}"


def malformed(status: int) -> None:
    """Count what was refused before it was a request: a path, a header or a body that cannot be read."""
    REQUESTS.add("malformed", "", str(status))
    if tracing.is_on():
        named("malformed")
        answered(status)


def _pieces(name: str, known: Collection[str]) -> list[str]:
    """Return the name of a parameter with its chain and modifier; a piece that is not known becomes `?`."""
    pieces, piece = [], ""
    for letter in f"{name}\0":
        if letter in ":.\0":
            pieces += [piece if piece in known else "?" if piece else "", letter.strip("\0")]
            piece = ""
        else:
            piece += letter
    return pieces
