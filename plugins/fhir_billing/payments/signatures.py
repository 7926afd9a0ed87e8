"""Signatures of webhooks: over the raw bytes, compared in constant time, by either of two secrets, within a window."""

import hmac
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address, ip_network

from pydantic import SecretStr

from fhir_billing.payments.processor import Forged, Received


def hold(found: bool) -> None:
    """Refuse what is not signed. Raises Forged; it does not say what was wrong."""
    if not found:
        raise Forged("this webhook is not signed by its processor", expression="http.headers")


def any_of(secrets: Sequence[SecretStr], check: Callable[[str], bool]) -> bool:
    """Tell whether one of the secrets in force fits; all are tried, so that time tells nothing."""
    results = [bool(secret.get_secret_value()) and check(secret.get_secret_value()) for secret in secrets]
    return any(results)


def signed(received: Received, header: str, secrets: Sequence[SecretStr], digest: str) -> None:
    """Hold a webhook to the hexadecimal HMAC of its bytes in a header. Raises Forged."""
    given = received.headers.get(header, "").lower()

    def fits(secret: str) -> bool:
        return hmac.compare_digest(hmac.new(secret.encode(), received.body, digest).hexdigest(), given)

    hold(given.isascii() and any_of(secrets, fits))


def in_window(received: Received, at: float) -> None:
    """Hold the time of a webhook (seconds since 1970) to ours; clocks may differ by the window. Raises Forged."""
    if abs(received.now / 1000 - at) > received.window:
        raise Forged("this webhook is too old, or from the future: compare the clocks", expression="http.headers")


def from_networks(received: Received, networks: Iterable[str]) -> None:
    """Hold the sender to networks. Raises Forged."""
    try:
        address = ip_address(received.address)
    except ValueError:
        raise Forged("this webhook comes from nowhere", expression="http") from None
    hold(any(address in ip_network(each, strict=False) for each in networks))
