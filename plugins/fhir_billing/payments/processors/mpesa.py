"""M-Pesa (Daraja): a prompt on the payer's phone. Its callbacks are not signed: they make us ask, nothing more.

Source: https://developer.safaricom.co.ke/APIs/MpesaExpressSimulate, .../MpesaExpressQuery
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from fhir_billing.money import Money
from fhir_billing.payments.processor import Answer, NoAnswer, Order, Received, RefundAnswer, Refused, Told, Wire, parsed
from fhir_billing.payments.records import Payment
from fhir_billing.payments.signatures import any_of, from_networks, hold
from fhir_billing.settings import ProcessorSettings

_NAIROBI: Final = timezone(timedelta(hours=3))
_FOR_GOOD: Final = {"1": "failed", "1032": "cancelled", "1037": "expired", "2001": "failed", "1019": "expired"}
_TOKEN_LIFE: Final = 3_000


class Mpesa:
    """One short code at Safaricom. key: consumer key and secret, `key:secret`; secret: the pass key.

    The end of its callback URL is a secret: one of `webhook_secrets`.
    """

    keyed_refunds = False

    def __init__(self, settings: ProcessorSettings, timeout: float) -> None:
        self._settings, self._timeout = settings, timeout
        self._wire = Wire(settings.url or "https://api.safaricom.co.ke", timeout)
        self._token, self._until = "", datetime.min.replace(tzinfo=_NAIROBI)

    async def _headers(self) -> Mapping[str, str]:
        now = datetime.now(_NAIROBI)
        if not self._token or now >= self._until:
            basic = base64.b64encode(self._settings.key.get_secret_value().encode()).decode()
            path, query = "/oauth/v1/generate", {"grant_type": "client_credentials"}
            found = await self._wire.ask("GET", path, query=query, headers={"authorization": f"Basic {basic}"})
            self._token, self._until = str(found.get("access_token", "")), now + timedelta(seconds=_TOKEN_LIFE)
        return {"authorization": f"Bearer {self._token}"}

    def _signed(self) -> dict[str, str]:
        stamp = datetime.now(_NAIROBI).strftime("%Y%m%d%H%M%S")
        code = self._settings.account
        password = base64.b64encode(f"{code}{self._settings.secret.get_secret_value()}{stamp}".encode()).decode()
        return {"BusinessShortCode": code, "Password": password, "Timestamp": stamp}

    async def start(self, order: Order) -> Answer:
        """Send the prompt."""
        amount = order.payment.amount
        if amount.currency != "KES" or amount.amount != int(amount.amount):
            raise Refused("M-Pesa takes whole shillings")
        secret = self._settings.webhook_secrets[0].get_secret_value() if self._settings.webhook_secrets else ""
        body = {
            **self._signed(), "TransactionType": "CustomerPayBillOnline", "Amount": int(amount.amount),
            "PartyA": order.phone, "PartyB": self._settings.account, "PhoneNumber": order.phone,
            "CallBackURL": f"{order.callback}/{secret}", "AccountReference": order.payment.id[:12],
            "TransactionDesc": order.text[:13],
        }  # fmt: skip
        path = "/mpesa/stkpush/v1/processrequest"
        found = await self._wire.ask("POST", path, body=body, headers=await self._headers())
        if not found.get("CheckoutRequestID"):
            raise NoAnswer("no CheckoutRequestID")
        if str(found.get("ResponseCode")) != "0":
            raise Refused(f"response {found.get('ResponseCode')}")
        return Answer("pending", str(found["CheckoutRequestID"]))

    async def query(self, payment: Payment) -> Answer:
        """Ask what became of the prompt; without its id nobody can be asked, and a statement has to tell."""
        if not payment.processor_ref:
            return Answer(None, why="no CheckoutRequestID came: the statement will tell")
        body = {**self._signed(), "CheckoutRequestID": payment.processor_ref}
        path = "/mpesa/stkpushquery/v1/query"
        found = await self._wire.ask("POST", path, body=body, headers=await self._headers())
        code = found.get("ResultCode")
        if code is None:
            return Answer("pending", payment.processor_ref)
        if str(code) == "0":
            return Answer("succeeded", payment.processor_ref, payment.amount)
        state: Any = _FOR_GOOD.get(str(code), "pending")
        return Answer(state, payment.processor_ref, why=f"result {code}")

    async def refund(self, payment: Payment, amount: Money, key: str) -> RefundAnswer:
        """Refuse: a reversal needs an initiator's credentials; it is paid by cash or bank."""
        raise Refused("M-Pesa payments are given back in cash or by bank")

    def read(self, received: Received) -> Sequence[Told]:
        """Return what the callback is about; of what it says nothing is believed."""
        token = received.token.encode()
        hold(any_of(self._settings.webhook_secrets, lambda secret: hmac.compare_digest(secret.encode(), token)))
        if self._settings.addresses:
            from_networks(received, self._settings.addresses)
        callback: Any = parsed(received.body).get("Body", {}).get("stkCallback", {})
        ref = str(callback.get("CheckoutRequestID", ""))
        return [Told(f"{ref}|{callback.get('ResultCode')}", "", ref)]
