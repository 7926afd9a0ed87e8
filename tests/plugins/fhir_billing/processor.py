"""A payment processor as Paystack's interface has it, on a socket of its own: what it does can be chosen."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx


class FakeProcessor:
    """Transactions by reference; `fail`: how the next calls go wrong, `hang` (money moves, no answer), `500`, `400`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.transactions: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.fail = ""
        self.calls: list[str] = []
        self.client: httpx.Client | None = None
        self.killed: Callable[[], Any] = lambda: None

    def pay(self, reference: str, **changes: Any) -> None:
        """Have the payer pay."""
        self.transactions[reference].update({"status": "success", **changes})

    def event(
        self, reference: str, name: str = "charge.success", secret: str = "whsec"
    ) -> tuple[bytes, dict[str, str]]:
        """Return the webhook of a transaction: body and headers."""
        data = self.transactions.get(reference, {"reference": reference, "id": 1, "amount": 1, "currency": "NGN"})
        body = json.dumps({"event": name, "data": data}).encode()
        return body, {"x-paystack-signature": hmac.new(secret.encode(), body, hashlib.sha512).hexdigest()}

    def tell(self, reference: str, path: str = "/billing/webhooks/paystack", **more: Any) -> int:
        """Send a webhook; return the status of the answer."""
        assert self.client is not None
        body, headers = self.event(reference, **more)
        return self.client.post(path, content=body, headers=headers).status_code

    @classmethod
    @contextmanager
    def serving(cls) -> Iterator["FakeProcessor"]:
        """Run one."""
        httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        fake = cls(f"http://127.0.0.1:{httpd.server_port}")
        _Handler.fakes[httpd.server_port] = fake
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield fake
        finally:
            httpd.shutdown()
            httpd.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    fakes: ClassVar[dict[int, FakeProcessor]] = {}
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    @property
    def fake(self) -> FakeProcessor:
        """Whose calls these are."""
        return self.fakes[self.server.server_address[1]]  # type: ignore[index]

    def do_POST(self) -> None:
        """Begin a transaction, or give back."""
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        self.fake.calls.append(self.path)
        if self.fake.fail in ("400", "500"):
            self._answer(int(self.fake.fail), {})
        elif self.path == "/transaction/initialize":
            self._begin(body)
        elif self.path == "/refund":
            known = self.fake.refunds.setdefault(body["merchant_note"], {"id": 7, "status": "processed", **body})
            self._answer(200, {"status": True, "data": known})
        else:
            self._answer(404, {})

    def _begin(self, body: dict[str, Any]) -> None:
        reference = body["reference"]
        known = {"id": len(self.fake.transactions) + 1, "status": "ongoing", "reference": reference}
        self.fake.transactions[reference] = {**known, "amount": int(body["amount"]), "currency": body["currency"]}
        if self.fake.fail == "kill":
            self.fake.killed()
        if self.fake.fail in ("hang", "kill"):
            self.fake.pay(reference)
            self.close_connection = True
            return
        url = f"https://checkout.example/{reference}"
        self._answer(200, {"status": True, "data": {"authorization_url": url, "reference": reference}})

    def do_GET(self) -> None:
        """Verify a transaction."""
        self.fake.calls.append(self.path)
        found = self.fake.transactions.get(self.path.rsplit("/", 1)[-1])
        if self.fake.fail == "500":
            self._answer(500, {})
        elif found is None:
            self._answer(404, {})
        else:
            self._answer(200, {"status": True, "data": found})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def wait_for(found: Any, seconds: float = 5) -> Any:
    """Wait until something is true; return it."""
    until = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)
    return value
