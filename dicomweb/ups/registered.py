"""What the worklist services add to the server."""

from typing import Final

from dicomweb.model.part import Part
from dicomweb.settings import DicomSettings
from dicomweb.ups import channel, services, subscribing, workitems
from dicomweb.ups.conformance import SAID
from dicomweb.ups.events import EVENTS
from dicomweb.ups.store import WORKITEMS
from dicomweb.ups.subscriptions import SUBSCRIBERS, SUBSCRIPTIONS
from dicomweb.ups.upkeep import SCHEDULED
from dicomweb.ups.web import Handler, answering
from fhir_server.plugin_api import Route

_READS: Final = (("search-type", "Task"),)
_CREATES: Final = (("create", "Task"),)
_UPDATES: Final = (("update", "Task"),)
_SEES_ORDERS: Final = (("search-type", "ServiceRequest"),)
_SEES_IMAGES: Final = (("search-type", "ImagingStudy"),)
_ITEM: Final = "/dicomweb/workitems/{uid}"
_STEP: Final = "/dicomweb/modality-performed-procedure-steps/{uid}"
_PROMISE: Final = "/dicomweb/commitment-requests/{uid}"

Asks = tuple[tuple[str, str | None], ...]


def _route(method: str, path: str, handler: Handler, asks: Asks) -> Route:
    return Route(path, answering(handler), (method,), asks, cross_origin=True)


def part(settings: DicomSettings) -> Part:
    """Return routes and what they keep."""
    return Part(
        routes=(
            _route("POST", "/dicomweb/workitems", workitems.create, _CREATES),
            _route("GET", "/dicomweb/workitems", workitems.search, _READS),
            _route("GET", _ITEM, workitems.retrieve, _READS),
            _route("POST", _ITEM, workitems.update, _UPDATES),
            _route("PUT", f"{_ITEM}/state", workitems.change_state, _UPDATES),
            _route("POST", f"{_ITEM}/cancelrequest", workitems.request_cancellation, _UPDATES),
            _route("POST", f"{_ITEM}/subscribers/{{ae}}", subscribing.start, _READS),
            _route("DELETE", f"{_ITEM}/subscribers/{{ae}}", subscribing.stop, _READS),
            _route("POST", f"{_ITEM}/subscribers/{{ae}}/suspend", subscribing.pause, _READS),
            channel.ROUTE,
            _route("GET", "/dicomweb/modality-scheduled-procedure-steps", services.search_orders, _SEES_ORDERS),
            _route("POST", _STEP, services.post_step, _UPDATES),
            _route("GET", _STEP, services.get_step, _READS),
            _route("POST", _PROMISE, services.ask_commitment, _SEES_IMAGES),
            _route("GET", _PROMISE, services.get_commitment, _SEES_IMAGES),
        ),
        collections=(WORKITEMS, SUBSCRIPTIONS, SUBSCRIBERS, EVENTS),
        scheduled=(SCHEDULED,),
        conformance={"Worklist services over the web": SAID},
    )
