"""rest-hook: POSTs and PUTs to the subscriber's endpoint.

Spec: https://hl7.org/fhir/R4/subscription.html#channels
"""

import httpx

from fhir_server.plugin_api import OutsideOnly
from fhir_subscriptions.channels import NotDelivered, Parcel
from fhir_subscriptions.settings import SubscriptionSettings
from fhir_subscriptions.wish import Wish


class RestHook:
    """Sends by HTTP; one for a process, for it keeps connections."""

    def __init__(self, settings: SubscriptionSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._client = httpx.AsyncClient(
            transport=transport or OutsideOnly(inside=settings.inside), follow_redirects=False, trust_env=False
        )

    async def send(self, wish: Wish, parcel: Parcel) -> None:
        """Send. Raises NotDelivered: anything but 2xx came back, or nothing in time."""
        timeout = min(wish.timeout or self._settings.timeout, self._settings.timeout)
        headers = [*wish.headers, ("x-notification-id", parcel.key)]
        if parcel.body:
            headers.append(("content-type", parcel.media_type))
        try:
            async with self._client.stream(
                parcel.method, parcel.url or wish.endpoint, content=parcel.body, headers=headers, timeout=timeout
            ) as answer:
                if not answer.is_success:
                    raise NotDelivered(f"the endpoint answered {answer.status_code}", final=answer.status_code == 410)
        except httpx.HTTPError as error:
            raise NotDelivered(f"the endpoint cannot be reached: {type(error).__name__}") from error
        except (httpx.InvalidURL, ValueError) as error:
            raise NotDelivered("nothing can be sent to such an endpoint, or with such headers", final=True) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
