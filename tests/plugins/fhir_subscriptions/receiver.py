"""A webhook receiver: a real HTTP server in a thread that can be told to fail, to be slow, and to go away."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True)
class Got:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def parameters(self) -> dict[str, Any]:
        """The status of a notification on a topic, by name."""
        found: dict[str, Any] = {}
        for each in self.json["entry"][0]["resource"]["parameter"]:
            value = next((value for name, value in each.items() if name.startswith("value")), each.get("part"))
            found.setdefault(each["name"], []).append(value)
        return found

    @property
    def kind(self) -> str:
        return str(self.parameters["type"][0])

    @property
    def numbers(self) -> list[int]:
        """The numbers of its events."""
        events = self.parameters.get("notification-event", [])
        return [int(p["valueString"]) for event in events for p in event if p["name"] == "event-number"]


@dataclass
class Receiver:
    """`status` is what it answers, `delay` how long it takes."""

    status: int = 200
    delay: float = 0
    got: list[Got] = field(default_factory=list)
    port: int = 0
    _server: ThreadingHTTPServer | None = None

    def start(self) -> "Receiver":
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                time.sleep(receiver.delay)
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append(Got(self.command, self.path, headers, body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                if receiver.status == 302:
                    self.send_header("location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.end_headers()

            do_POST = do_PUT = do_DELETE = do_GET = _take  # noqa: N815  # names of the library

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def wait(self, holds: Callable[[list[Got]], Any], seconds: float = 15) -> list[Got]:
        """Wait until something holds of what came."""
        until = time.monotonic() + seconds
        while not holds(self.got):
            assert time.monotonic() < until, [(each.method, each.path, each.body[:80]) for each in self.got][-9:]
            time.sleep(0.02)
        return self.got
