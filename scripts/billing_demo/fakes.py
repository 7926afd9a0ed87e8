"""Payment processors on sockets of their own: just enough of Paystack and of M-Pesa for the example."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = Callable[[str, dict[str, Any]], dict[str, Any]]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve JSON: `answer(path, body)`; give the URL."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            body = json.dumps(answer(self.path.partition("?")[0], json.loads(raw or b"{}"))).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _serve  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class Paystack:
    """Hosted transactions."""

    def __init__(self) -> None:
        self.transactions: dict[str, dict[str, Any]] = {}

    def __call__(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer a request."""
        if path == "/transaction/initialize":
            known = {"status": "ongoing", "amount": int(body["amount"]), "currency": body["currency"], "id": 1}
            self.transactions[body["reference"]] = {**known, "reference": body["reference"]}
            return {
                "data": {"reference": body["reference"], "authorization_url": "https://checkout.paystack.example/x"}
            }
        return {"data": self.transactions[path.rsplit("/", 1)[-1]]}

    def pays(self, reference: str) -> tuple[bytes, dict[str, str]]:
        """Have the payer pay; return the webhook, signed."""
        self.transactions[reference]["status"] = "success"
        body = json.dumps({"event": "charge.success", "data": self.transactions[reference]}).encode()
        return body, {"x-paystack-signature": hmac.new(b"demo", body, hashlib.sha512).hexdigest()}


class Mpesa:
    """Prompts on phones; whoever gets one enters the PIN when `enter_pin` is called."""

    def __init__(self) -> None:
        self.prompts: dict[str, int | None] = {}

    def __call__(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer a request."""
        if path.endswith("/generate"):
            return {"access_token": "demo", "expires_in": "3599"}
        if path.endswith("/processrequest"):
            id_ = f"ws_CO_{len(self.prompts) + 1}"
            self.prompts[id_] = None
            return {"CheckoutRequestID": id_, "ResponseCode": "0"}
        code = self.prompts[body["CheckoutRequestID"]]
        return {"ResponseCode": "0"} if code is None else {"ResponseCode": "0", "ResultCode": str(code)}

    def enter_pin(self) -> bytes:
        """Have the payer of the last prompt pay; return the callback, which nobody signs."""
        id_ = list(self.prompts)[-1]
        self.prompts[id_] = 0
        return json.dumps({"Body": {"stkCallback": {"CheckoutRequestID": id_, "ResultCode": 0}}}).encode()
