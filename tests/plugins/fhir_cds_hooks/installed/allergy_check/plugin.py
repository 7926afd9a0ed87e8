"""Services on `cds-services`: one that works, and some that do not."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fhir_server.plugin_api import Host, hookimpl

HEARD: list[Any] = []
SOURCE = {"label": "Allergy check", "url": "https://allergies.example"}


def codes(resource: Mapping[str, Any], name: str) -> set[tuple[str, str]]:
    """Return the codings of a concept."""
    codings = resource.get(name, {}).get("coding", [])
    return {(str(each.get("system")), str(each.get("code"))) for each in codings}


def orders(call: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the orders that were selected."""
    for entry in call.context.get("draftOrders", {}).get("entry", []):
        order = entry["resource"]
        if f"{order['resourceType']}/{order['id']}" in call.context.get("selections", ()):
            yield order


async def check(call: Any) -> Sequence[dict[str, Any]]:
    """Compare the selected orders with the allergies of the patient."""
    entries = (call.prefetch["allergies"] or {}).get("entry", [])
    known = set().union(*(codes(entry["resource"], "code") for entry in entries)) if entries else set()
    return [
        {
            "summary": f"The patient is allergic to what {order['id']} contains",
            "indicator": "critical",
            "source": SOURCE,
            "suggestions": [
                {
                    "label": "Remove the order",
                    "actions": [
                        {"type": "delete", "description": "Remove", "resourceId": f"MedicationRequest/{order['id']}"}
                    ],
                }
            ],
            "selectionBehavior": "at-most-one",
        }
        for order in orders(call)
        if known & codes(order, "medicationCodeableConcept")
    ]


async def greet(call: Any) -> Mapping[str, Any]:
    """Greet by name."""
    patient, last = call.prefetch["patient"], call.prefetch.get("last")
    family = patient["name"][0]["family"] if patient else "nobody"
    seen = 0 if last is None else last.get("total", len(last.get("entry", [])))
    return {"cards": [{"summary": f"{family}, {seen} visits", "indicator": "info", "source": SOURCE}]}


async def broken(call: Any) -> Any:
    """Give what is no card, throw, or take too long."""
    match call.context.get("how"):
        case "throw":
            raise ValueError("secret of Mrs Miller")
        case "slow":
            await asyncio.sleep(5)
        case "text":
            return "a card"
    return [{"summary": "x" * 200, "indicator": "red", "links": [{"label": "here", "url": "/here", "type": "web"}]}]


async def heard(tenant: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Remember."""
    HEARD.extend(items)


@hookimpl
async def on_start(host: Host) -> None:
    """Add the services."""
    services = (await host.context()).service("cds-services")
    services.add(
        "allergies", hook="order-select", title="Allergies", description="Warns of allergies.", handler=check,
        prefetch={"allergies": "AllergyIntolerance?patient={{context.patientId}}"}, on_feedback=heard,
    )  # fmt: skip
    services.add(
        "greeting", hook="patient-view", description="Greets.", handler=greet, optional=("last",),
        prefetch={
            "patient": "Patient/{{context.patientId}}",
            "last": "Encounter?patient={{context.patientId}}&date=ge{{today() - 90 days}}"
            "&practitioner={{userPractitionerId}}",
        },
    )  # fmt: skip
    services.add("broken", hook="patient-view", description="Fails.", handler=broken)
