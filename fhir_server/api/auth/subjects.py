"""What a grant will be about: the context of an EHR launch, or the patient and visit that the user chooses.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html
"""

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from fhir_server.api.auth import people
from fhir_server.api.auth.service import Service, auth_of
from fhir_server.api.auth.show import page
from fhir_server.api.auth.visit import Subject, Visit
from fhir_server.auth.authorization import Asked, wants
from fhir_server.auth.roles import represented
from fhir_server.auth.waiting import decided, launch_of

_BESIDE = ("patient", "encounter")


async def subject_of(service: Service, visit: Visit) -> Subject | Response:
    """Return what the grant will be about, or the page that asks for it, or the way back to the app."""
    if visit.asked.launch:
        return await _launched(service, visit)
    if not needs_patient(visit.asked):
        return Subject()
    chosen = await _chosen_patient(service, visit)
    if isinstance(chosen, Response):
        return chosen
    if not wants(visit.asked.scopes, "encounter"):
        return Subject(chosen, more={"need_patient_banner": True})
    return await _chosen_encounter(service, visit, chosen)


def needs_patient(asked: Asked) -> bool:
    """Tell whether a request is about one patient: it says so, or asks for `patient/` scopes."""
    return wants(asked.scopes, "patient") or wants(asked.scopes, "encounter") or "patient" in asked.scopes.levels()


async def _launched(service: Service, visit: Visit) -> Subject | Response:
    """A launch from within a patient's record keeps to it; one from elsewhere lets the user choose, if it has to."""
    desk, asked = visit.desk, visit.asked
    launch = await launch_of(desk, asked.launch, asked.client.id, visit.session.user.id)
    own = await _own(visit)
    if launch is None or (own is not None and "patient" in launch and launch["patient"] not in own):
        await decided(desk, visit.handle)
        said = "the launch is not known: too old, or for another app or user"
        return visit.back(error="invalid_request", error_description=said)
    more: dict[str, Any] = {"smart_style_url": f"{auth_of(desk.base)}/style.json"}
    more |= {name: value for name, value in launch.items() if name not in _BESIDE}
    patient = launch.get("patient", "")
    if not patient and needs_patient(asked):
        chosen = await _chosen_patient(service, visit)
        if isinstance(chosen, Response):
            return chosen
        patient = chosen
    return Subject(patient, launch.get("encounter", ""), more)


async def _chosen_patient(service: Service, visit: Visit) -> str | Response:
    """Who is a patient is not asked; who stands for several chooses among them, and staff among all."""
    base, chosen, find = visit.desk.base, visit.form.get("patient", ""), visit.form.get("find", "")
    own = await _own(visit)
    if own is not None:
        if not own:
            return visit.back(error="access_denied", error_description="the user stands for no patient")
        if len(own) == 1 or chosen in own:
            return chosen if chosen in own else own[0]
        found = [await people.patient(service, visit.tenant, base, id_) for id_ in own]
        return _patient_page(visit, "", [patient for patient in found if patient], search=False)
    if chosen:
        patient = await people.patient(service, visit.tenant, base, chosen)
        if patient is not None:
            return patient.id
    shown = await people.patients(service, visit.tenant, base, find) if find else []
    return _patient_page(visit, find, shown, search=True)


def _patient_page(visit: Visit, find: str, patients: Sequence[people.Shown], *, search: bool) -> Response:
    asked = visit.asked
    return page(
        "patient", leads_to=asked.redirect_uri, app=asked.client.name, handle=visit.handle, find=find,
        patients=patients, search=search,
    )  # fmt: skip


async def _own(visit: Visit) -> tuple[str, ...] | None:
    user = visit.session.user
    return await represented(visit.desk, (user.subject, *user.also))


async def _chosen_encounter(service: Service, visit: Visit, patient: str) -> Subject | Response:
    banner = {"need_patient_banner": True}
    shown = await people.encounters(service, visit.tenant, visit.desk.base, patient)
    chosen = visit.form.get("encounter", "")
    if chosen == "-" or not shown:
        return Subject(patient, more=banner)
    if any(encounter.id == chosen for encounter in shown):
        return Subject(patient, chosen, banner)
    return page("encounter", leads_to=visit.asked.redirect_uri, handle=visit.handle, patient=patient, encounters=shown)
