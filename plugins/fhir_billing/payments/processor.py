"""Processor: the seam to whoever moves money; and what an answer, a failure and a webhook of one mean to us."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import httpx

from fhir_billing.money import Money
from fhir_billing.payments.records import Payment
from fhir_billing.payments.states import State
from fhir_server.plugin_api import FhirError, decode, encode


class NotSent(Exception):
    """It could not be reached: nothing has moved, another one may be asked."""


class Refused(Exception):
    """It says no for good: nothing has moved."""


class NoAnswer(Exception):
    """It was asked and did not answer so that we could understand: money may have moved."""


class Forged(FhirError):
    """A webhook that did not come from the processor, or not now."""

    status, code = 401, "security"


@dataclass(frozen=True, slots=True)
class Order:
    """A payment to be asked for. callback: URL for its webhooks; back: where the payer's browser goes afterwards."""

    payment: Payment
    callback: str
    text: str = "Invoice"
    email: str = ""
    phone: str = ""
    back: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a processor says of a payment.

    state: None where it says nothing new; `unknown` is ours alone. ref: its id of the payment. amount: what was paid.
    redirect: URL of its hosted page, qr: what to show as a code, token: for its hosted fields.
    """

    state: State | None
    ref: str = ""
    amount: Money | None = None
    redirect: str = ""
    qr: str = ""
    token: str = ""
    why: str = ""
    more: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RefundAnswer:
    """What a processor says of a refund."""

    state: Literal["sent", "paid", "failed"]
    ref: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """A webhook as it came: raw bytes, headers in lower case, the URL it was sent to, the end of the path, time."""

    body: bytes
    headers: Mapping[str, str]
    url: str
    token: str
    address: str
    now: int
    window: float


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a webhook: its id (the same however often it comes), and which payment it is about."""

    id: str
    payment: str = ""
    ref: str = ""
    kind: str = "payment"


class Processor(Protocol):
    """One processor. All amounts that it names are checked by the caller.

    keyed_refunds: whether a refund that is asked for twice with one key is paid once.
    """

    keyed_refunds: bool

    async def start(self, order: Order) -> Answer:
        """Ask for a payment; its id is the idempotency key. Raises NotSent, Refused, NoAnswer."""

    async def query(self, payment: Payment) -> Answer:
        """Ask what became of a payment. `Refused`: it knows of none such. Raises NotSent, NoAnswer, Refused."""

    async def refund(self, payment: Payment, amount: Money, key: str) -> RefundAnswer:
        """Give back, in part or in whole; asked twice with a key it is done once. Raises NotSent, Refused, NoAnswer."""

    def read(self, received: Received) -> Sequence[Told]:
        """Return the events of a webhook that is theirs. Raises Forged."""


class Wire:
    """HTTP to a processor, with every failure said in our terms."""

    def __init__(self, base: str, timeout: float, headers: Mapping[str, str] | None = None, auth: Any = None) -> None:
        self.client = httpx.AsyncClient(
            base_url=base, timeout=timeout, headers=dict(headers or {}), auth=auth, trust_env=False
        )

    async def ask(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the JSON of an answer.

        Raises:
            NotSent: no connection. Refused: 4xx. NoAnswer: 5xx, a timeout, an answer that is no JSON.
        """
        content = None if body is None else encode(dict(body))
        given = {**({"content-type": "application/json"} if body is not None else {}), **(headers or {})}
        try:
            answer = await self.client.request(
                method, path, content=content, data=form, headers=given, params=query or None
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSent(type(error).__name__) from error
        except httpx.HTTPError as error:
            raise NoAnswer(type(error).__name__) from error
        return _json_of(answer)


def _json_of(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code in (408, 409, 425, 429) or answer.status_code >= 500:
        raise NoAnswer(f"status {answer.status_code}")
    if answer.status_code >= 400:
        raise Refused(f"status {answer.status_code}")
    try:
        found = decode(answer.content)
    except ValueError as error:
        raise NoAnswer("the answer is no JSON") from error
    if not isinstance(found, dict):
        raise NoAnswer("the answer is no object")
    return found


def parsed(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a webhook whose signature is good. Raises Forged."""
    try:
        found = decode(body)
    except ValueError:
        raise Forged("the webhook is no JSON", expression="http.body") from None
    if not isinstance(found, dict):
        raise Forged("the webhook is no JSON object", expression="http.body")
    return found
