"""A server whose subscribers may be on this machine, and a receiver."""

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.testing.server import TestServer
from tests.plugins.fhir_subscriptions.receiver import Receiver
from tests.plugins.only import but

FAST = {"inside": True, "first_pause": 0.2, "longest_pause": 0.5, "timeout": 1, "poll": 0.05, "shortest_heartbeat": 1}


@pytest.fixture
def server(fhir_server_with: Any) -> TestServer:
    found: TestServer = fhir_server_with(
        plugins_disabled=but("fhir_subscriptions"), plugins={"fhir_subscriptions": FAST}, real_time=True
    )
    return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver().start()
    yield receiver
    receiver.stop()


def subscription(receiver: Receiver | None, criteria: str, **members: Any) -> dict[str, Any]:
    """Return a Subscription by rest-hook."""
    channel = {"type": "rest-hook", "endpoint": receiver.url if receiver else "https://example.org/hook"}
    channel |= members.pop("channel", {})
    return {
        "resourceType": "Subscription", "status": "requested", "reason": "a test", "criteria": criteria,
        "channel": channel, **members,
    }  # fmt: skip
