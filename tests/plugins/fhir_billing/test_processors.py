"""Each processor against its maker's interface: those that can be installed run for real, the others are told here."""

import base64
import hashlib
import hmac
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from fhir_billing.money import money_of
from fhir_billing.payments.processor import Forged, NoAnswer, NotSent, Order, Received, Refused
from fhir_billing.payments.processors import KINDS
from fhir_billing.payments.processors.paynow import crc, qr
from fhir_billing.payments.records import Payment
from fhir_billing.settings import ProcessorSettings

NOW = 1_750_000_000


def payment(amount: str, currency: str, **more: Any) -> Payment:
    """Return a payment that is asked for."""
    given = {"id": "a" * 40, "state": "requested", "invoice": "I1", "party": "Patient/1", "patient": "Patient/1"}
    return Payment(**{**given, "amount": money_of(amount, currency), "processor": "p", "at": NOW * 1000, **more})  # type: ignore[arg-type]


def made(kind: str, **more: Any) -> Any:
    """Return a processor."""
    given = {"key": "key", "secret": "pass", "webhook_secrets": ("next", "whsec"), "account": "acct", **more}
    return KINDS[kind](ProcessorSettings(kind=kind, **given), 5)  # type: ignore[arg-type]


def received(body: bytes, headers: dict[str, str] | None = None, **more: Any) -> Received:
    """Return a webhook."""
    given = {
        "url": "https://here.example/billing/webhooks/p",
        "token": "",
        "address": "196.201.214.200",
        "now": NOW * 1000,
    }
    return Received(body, headers or {}, **{**given, "window": 300, **more})  # type: ignore[arg-type]


def port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def peer(*command: str, at: int, ready: str) -> Iterator[str]:
    """Run somebody else's server of a maker's interface."""
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{at}"
    try:
        until = time.monotonic() + 20
        while True:
            try:
                httpx.get(url + ready, timeout=1)
                break
            except httpx.HTTPError:
                assert time.monotonic() < until, "it did not start"
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def listening() -> Iterator[tuple[str, list[tuple[bytes, dict[str, str]]]]]:
    """Take in webhooks of a peer."""
    came: list[tuple[bytes, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came.append((body, {name.lower(): value for name, value in self.headers.items()}))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}/", came
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def _paid_intent(url: str, id_: str) -> str:
    def post(path: str, **form: str) -> str:
        data = {name.replace("__", "[") + ("]" if "__" in name else ""): value for name, value in form.items()}
        answer = httpx.post(f"{url}/v1/{path}", data=data, auth=("sk_test", ""))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    card = {"card__number": "4242424242424242", "card__exp_month": "12", "card__exp_year": "2040", "card__cvc": "123"}
    customer, method = post("customers"), post("payment_methods", type="card", **card)
    post(f"payment_methods/{method}/attach", customer=customer)
    given = {"amount": "150000", "currency": "kes", "customer": customer, "payment_method": method, "confirm": "true"}
    return post("payment_intents", metadata__payment=id_, **given)


async def test_stripe_with_a_server_of_its_interface() -> None:
    pytest.importorskip("localstripe")
    at = port()
    with (
        peer("localstripe", "--port", str(at), "--from-scratch", at=at, ready="/js.stripe.com/v3/") as url,
        listening() as (hook, came),
    ):
        httpx.post(f"{url}/_config/webhooks/w", data={"url": hook, "secret": "whsec"})
        stripe, wanted = made("stripe", url=url, key="sk_test"), payment("1500.00", "KES")
        begun = await stripe.start(Order(wanted, "https://here.example"))
        assert (begun.state, str(begun.amount), bool(begun.token)) == ("pending", "1500.00 KES", True)
        asked = wanted.but(processor_ref=begun.ref)
        assert (await stripe.query(asked)).state == "pending"
        # the hosted fields, as far as the peer has them: a customer who pays an intent of the same metadata
        asked = wanted.but(processor_ref=_paid_intent(url, wanted.id))
        found = await stripe.query(asked)
        assert (found.state, str(found.amount)) == ("succeeded", "1500.00 KES")
        back = await stripe.refund(asked, money_of("500", "KES"), "r1")
        assert back.state == "paid"
        until = time.monotonic() + 5
        while not any(b"payment_intent.succeeded" in body for body, _ in came):
            assert time.monotonic() < until, "no webhook came"
            time.sleep(0.02)
        body, headers = next(each for each in came if b"payment_intent.succeeded" in each[0])
        (told,) = stripe.read(received(body, headers, now=int(time.time() * 1000)))
        assert (told.payment, told.ref) == (wanted.id, asked.processor_ref)
        with pytest.raises(Forged):
            stripe.read(received(body + b" ", headers, now=int(time.time() * 1000)))
        with pytest.raises(Forged, match="compare the clocks"):
            stripe.read(received(body, headers, now=int(time.time() + 301) * 1000))
        with pytest.raises(Refused):
            await stripe.query(wanted.but(processor_ref="pi_unknown"))
    with pytest.raises(NotSent):
        await stripe.start(Order(wanted, "https://here.example"))


async def test_mpesa_with_a_server_of_its_interface() -> None:
    pytest.importorskip("daraja_mock")
    at = port()
    with peer("daraja_mock", "--port", str(at), at=at, ready="/health") as url:
        mpesa, wanted = made("mpesa", url=url, key="consumer:secret", account="174379"), payment("1500.00", "KES")
        begun = await mpesa.start(Order(wanted, "https://here.example/billing/webhooks/mpesa", phone="254708374149"))
        assert begun.state == "pending"
        assert begun.ref
        found = await mpesa.query(wanted.but(processor_ref=begun.ref))
        assert (found.state, found.amount) == ("succeeded", wanted.amount)
        assert (await mpesa.query(wanted)).state is None
        for amount, currency in (("10.50", "KES"), ("10", "USD")):
            with pytest.raises(Refused):
                await mpesa.start(Order(payment(amount, currency), "https://here.example", phone="254708374149"))


def test_a_callback_of_mpesa_needs_its_secret_path_and_its_network() -> None:
    mpesa = made("mpesa", addresses=("196.201.214.0/24",))
    body = json.dumps({"Body": {"stkCallback": {"CheckoutRequestID": "ws_1", "ResultCode": 0}}}).encode()
    (told,) = mpesa.read(received(body, token="whsec"))
    assert (told.ref, told.payment) == ("ws_1", "")
    for more in ({"token": "guess"}, {"token": ""}, {"token": "whsec", "address": "203.0.113.9"}):
        with pytest.raises(Forged):
            mpesa.read(received(body, **more))


def _answers(processor: Any, answer: Callable[[httpx.Request], httpx.Response]) -> list[httpx.Request]:
    """Have a processor ask a server that is told here; return its requests as they come."""
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer(request)

    wire = processor._wire
    wire.client = httpx.AsyncClient(
        base_url=wire.client.base_url, headers=wire.client.headers, transport=httpx.MockTransport(handle)
    )
    return asked


ID = "a" * 40
MAKERS: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "adyen": (
        "10.00", "EUR",
        {"id": "PL1", "status": "active", "url": "https://x", "amount": {"value": 1000, "currency": "EUR"}},
        {"id": "PL1", "status": "completed", "amount": {"value": 1000, "currency": "EUR"}}, {"psp": "P1"},
        {"pspReference": "R1", "status": "received"},
    ),
    "razorpay": (
        "10.00", "INR", {"id": "plink_1", "status": "created", "amount": 1000, "currency": "INR", "short_url": "https://x"},
        {"id": "plink_1", "status": "paid", "amount": 1000, "amount_paid": 1000, "currency": "INR",
         "payments": [{"payment_id": "pay_1"}]}, {"payment": "pay_1"}, {"id": "rfnd_1", "status": "processed"},
    ),
    "square": (
        "10.00", "USD", {"payment_link": {"order_id": "O1", "url": "https://x"}},
        {"order": {"state": "COMPLETED", "total_money": {"amount": 1000, "currency": "USD"},
                   "tenders": [{"payment_id": "T1"}]}},
        {"payment": "T1"}, {"refund": {"id": "RF1", "status": "COMPLETED"}},
    ),
    "paystack": (
        "10.00", "NGN", {"data": {"reference": ID, "authorization_url": "https://x"}},
        {"data": {"reference": ID, "status": "success", "amount": 1000, "currency": "NGN", "id": 7}}, {},
        {"data": {"id": 1, "status": "processed"}},
    ),
    "flutterwave": (
        "10.00", "NGN", {"data": {"link": "https://x"}},
        {"data": {"tx_ref": ID, "status": "successful", "amount": 10, "currency": "NGN", "id": 7}}, {"transaction": 7},
        {"data": {"id": 1, "status": "completed"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(MAKERS))
async def test_a_payment_is_asked_for_verified_and_given_back(kind: str) -> None:
    amount, currency, begun, paid, more, back = MAKERS[kind]
    processor, wanted = made(kind), payment(amount, currency)
    _answers(processor, lambda request: httpx.Response(200, json=begun))
    started = await processor.start(Order(wanted, "https://here.example", back="https://back.example"))
    assert (started.state, started.redirect) == ("pending", "https://x")
    _answers(processor, lambda request: httpx.Response(200, json=paid))
    found = await processor.query(wanted.but(processor_ref=started.ref))
    assert (found.state, found.amount) == ("succeeded", wanted.amount)
    asked = _answers(processor, lambda request: httpx.Response(200, json=back))
    gone = await processor.refund(wanted.but(processor_ref=started.ref, more=more), money_of("4", currency), "key-1")
    assert gone.state in ("paid", "sent")
    assert b"key-1" in asked[0].content or "key-1" in asked[0].headers.values()


@pytest.mark.parametrize("kind", sorted(MAKERS))
@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [(500, b"{}", NoAnswer), (429, b"{}", NoAnswer),
     (200, b"<html>", NoAnswer), (200, b"[]", NoAnswer), (200, b"{}", NoAnswer),
     (400, b"{}", Refused), (404, b"{}", Refused)],
)  # fmt: skip
async def test_an_answer_that_says_nothing_is_no_failure_of_the_payment(
    kind: str, status: int, body: bytes, fault: type[Exception]
) -> None:
    processor, wanted = made(kind), payment("10.00", MAKERS[kind][1], processor_ref="x1")
    _answers(processor, lambda request: httpx.Response(status, content=body))
    with pytest.raises(fault):
        await processor.query(wanted)


def _hmac(body: bytes, digest: str = "sha256") -> str:
    return hmac.new(b"whsec", body, digest).hexdigest()


def test_razorpay_signs_the_bytes() -> None:
    entity = {"payload": {"payment_link": {"entity": {"id": "plink_1", "reference_id": ID}}}}
    body = json.dumps({"event": "payment_link.paid", "created_at": NOW, **entity}).encode()
    headers = {"x-razorpay-signature": _hmac(body), "x-razorpay-event-id": "ev1"}
    import razorpay.utility.utility as theirs  # their own code agrees with what we take

    theirs.Utility().verify_webhook_signature(body.decode(), headers["x-razorpay-signature"], "whsec")
    (told,) = made("razorpay").read(received(body, headers))
    assert (told.id, told.payment) == ("ev1", ID)
    with pytest.raises(Forged):
        made("razorpay").read(received(body, {**headers, "x-razorpay-signature": "0" * 64}))
    with pytest.raises(Forged, match="compare the clocks"):
        made("razorpay").read(received(body, headers, now=(NOW + 400) * 1000))


def test_square_signs_the_url_too() -> None:
    body = json.dumps({"event_id": "e1", "data": {"object": {"payment": {"order_id": "O1"}}}}).encode()
    url = b"https://here.example/billing/webhooks/p"
    signature = base64.b64encode(hmac.new(b"whsec", url + body, hashlib.sha256).digest()).decode()
    headers = {"x-square-hmacsha256-signature": signature}
    (told,) = made("square").read(received(body, headers))
    assert (told.id, told.ref) == ("e1", "O1")
    for changed in ({"url": "https://elsewhere.example/billing/webhooks/p"}, {}):
        given = headers if changed else {}
        with pytest.raises(Forged):
            made("square").read(received(body, given, **changed))


def test_adyen_signs_each_item_of_a_batch() -> None:
    from Adyen.util import generate_notification_sig

    key = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
    item = {
        "eventCode": "AUTHORISATION", "success": "true", "pspReference": "P1", "merchantReference": ID,
        "merchantAccountCode": "acct", "originalReference": "", "amount": {"value": 1000, "currency": "EUR"},
    }  # fmt: skip
    signature = generate_notification_sig(item, key)
    signed = {
        **item,
        "additionalData": {"hmacSignature": signature.decode() if isinstance(signature, bytes) else signature},
    }
    adyen = made("adyen", webhook_secrets=(key,))

    def batch(*items: dict[str, Any]) -> bytes:
        return json.dumps({"notificationItems": [{"NotificationRequestItem": each} for each in items]}).encode()

    (told,) = adyen.read(received(batch(signed)))
    assert (told.id, told.payment) == ("AUTHORISATION|P1|true", ID)
    forged = {**signed, "amount": {"value": 9, "currency": "EUR"}}
    for items in ((signed, forged), (forged,), (item,), ()):
        with pytest.raises(Forged):
            adyen.read(received(batch(*items)))


def test_flutterwave_and_paystack_hold_to_their_secrets() -> None:
    body = json.dumps({"event": "charge.completed", "data": {"id": 7, "tx_ref": ID, "status": "successful"}}).encode()
    (told,) = made("flutterwave").read(received(body, {"verif-hash": "whsec"}))
    assert told.payment == ID
    (told,) = made("paystack").read(received(body, {"x-paystack-signature": _hmac(body, "sha512")}))
    assert told.id == "charge.completed|7"
    for kind, headers in (("flutterwave", {"verif-hash": ""}), ("flutterwave", {}), ("paystack", {})):
        with pytest.raises(Forged):
            made(kind).read(received(body, headers))


async def test_a_paynow_code_is_the_one_of_its_standard_and_no_payment() -> None:
    assert f"{crc(b'123456789'):04X}" == "29B1"
    text = qr("201403121W", money_of("378.12", "SGD"), "INV1", "20301231", "CLINIC")
    assert text.startswith("00020101021226")
    assert "0009SG.PAYNOW010120210201403121W030100408203012315204" in text
    assert "5303702540637812" not in text
    assert "5406378.12" in text
    assert "62080104INV1" in text
    assert text[-8:-4] == "6304"
    assert text[-4:] == f"{crc(text[:-4].encode()):04X}"
    begun = await made("paynow").start(Order(payment("378.12", "SGD"), "https://here.example"))
    assert (begun.state, begun.qr[:6]) == ("pending", "000201")
    assert (await made("paynow").query(payment("1", "SGD"))).state is None
    with pytest.raises(Refused):
        await made("paynow").start(Order(payment("1.00", "USD"), ""))
    with pytest.raises(Forged):
        made("paynow").read(received(b"{}"))
