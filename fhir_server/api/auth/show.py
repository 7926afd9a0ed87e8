"""Pages for people, from templates; every value is escaped, and no page may be framed or run a script of others."""

import re
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from jinja2 import Environment

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
_HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?", re.ASCII)


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, select_autoescape  # loaded with the first page

    loader = PackageLoader("fhir_server.api.auth")
    return Environment(loader=loader, autoescape=select_autoescape(default=True), trim_blocks=True, auto_reload=False)


def page(template: str, status: int = 200, /, *, leads_to: str = "", **values: Any) -> Response:
    """Return a page. `leads_to`: where its forms may end after redirects, besides this server."""
    text = _templates().get_template(f"{template}.html").render(**values)
    policy = f"{_POLICY} {_source(leads_to)}".rstrip()
    return HTMLResponse(text, status, {**_HEADERS, "content-security-policy": policy})


def message(title: str, text: str, status: int = 400) -> Response:
    """Return a page that says one thing."""
    return page("message", status, title=title, text=text)


def _source(url: str) -> str:
    """Return what a policy calls an address; of an app on the device, the scheme."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return f"{parts.scheme}:" if _SCHEME.fullmatch(parts.scheme) else ""
    return f"{parts.scheme}://{parts.netloc}" if _HOST.fullmatch(parts.netloc) else ""


def go_to(url: str) -> Response:
    """Send the browser elsewhere, as a GET."""
    return RedirectResponse(url, 303, {"cache-control": "no-store", "referrer-policy": "no-referrer"})
