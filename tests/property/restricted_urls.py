"""What is asked of a restricted server: every form of URL."""

from collections.abc import Iterator
from random import Random
from typing import Any

from tests.builders import bundle, entry
from tests.property.restricted_sides import Trial
from tests.property.restricted_world import PATIENTS, Json, observation, ref

COUNTS = (
    "Observation/$count-by?by=code&by=subject",
    "Observation/$count-by?by=date:day&by=performer&category=laboratory",
    "Observation/$count-by?by=_security&subject:Patient.name=Fbob",
    "Observation/$count-by?by=status&_has:Task:focus:_id=t0,t1,t2,t3",
    "Patient/$count-by?by=link&_format=csv",
    "Task/$count-by?by=focus&by=patient&max=2",
    "Binary/$count-by?by=contenttype",
    "Provenance/$count-by?by=target",
)


def reads(trial: Trial) -> Iterator[str]:
    dice, keys = trial.dice, [*trial.world.versions, "Observation/never", "Patient/never", "Binary/never"]
    for key in keys:
        yield key
        yield f"{key}/_history"
    yield from (f"{dice.choice(keys)}/_history/99", "_history", "_history?_count=3", "?_type=Patient,Observation,Task")
    for type_ in {key.split("/")[0] for key in keys}:
        yield f"{type_}?_count=2&_total=accurate"
        yield f"{type_}?_summary=count"
        yield f"{type_}/_history?_count=50"
    yield from searches(dice)
    yield from COUNTS
    for patient in (*PATIENTS, "never"):
        yield f"Patient/{patient}/Observation?_total=accurate"
        yield f"Patient/{patient}/*?_count=4"
        yield "Encounter/e1/Condition"
        yield f"Patient/{patient}/$everything?_count=5"
        yield f"Patient/{patient}/$meta"
        yield f"Patient/{patient}/$export-subject?audit=false"
        yield f"Patient/{patient}/$export-subject?audit=false&history=true"
        yield f"Patient/{patient}/$export-subject?format=html&audit=false"
        yield f"Patient/{patient}/$de-identify"
        yield f"Patient/{patient}/$consent-decision"
        yield f"Patient/{patient}/Task?_sort=-authored-on&_include=*"
        yield f"Patient/{patient}/Bundle"
        yield f"Observation/$lastn?patient={patient}"
        yield f"DocumentReference/$docref?patient={patient}&start=1900-01-01"
        yield f"Observation/$stats?subject=Patient/{patient}&code=http://loinc.org|1-8&statistic=count"
    for other in ("Practitioner/doc", "Device/d0", "Device/d1", "RelatedPerson/rp0", "Encounter/e2"):
        yield f"{other}/*?_count=30"
        yield f"{other}/Observation?_total=accurate"
    yield from ("Observation/$de-identify", "Task/$de-identify", "$retention", "$export", "Patient/$export")
    yield from ("$meta", "Observation/$meta", "Patient/$everything?_count=7", "Encounter/e0/$everything")
    yield from (
        "Composition/co0/$document",
        "Composition/co1/$document",
        "Observation/o7/$diff",
        "Observation/o8/$diff",
    )
    for key in dice.sample(keys, 8):
        yield f"{key}/$validate"
        yield f"{key}/$validate?mode=update"
        yield f"{key}/$meta"


def searches(dice: Random) -> Iterator[str]:
    who = [*PATIENTS, "never"]
    yield from (f"Observation?subject=Patient/{who[dice.randint(0, 3)]}&_total=accurate", "Observation?_sort=date,_id")
    yield from (f"Observation?patient.name=F{who[dice.randint(0, 3)]}" for _ in range(2))
    yield from (f"Patient?_has:Observation:subject:code={dice.choice(['1-8', '2-6'])}" for _ in range(2))
    yield from (
        "Patient?_has:Observation:patient:_id=o0,o1,o2,o3,o4,o5",
        "Patient?_has:Group:member:_id=g0,g1,g2",
        "Patient?_has:Observation:subject:performer=Patient/bob",
        "Observation?_include=*&_count=20",
        "Observation?_include=Observation:subject&_include:iterate=Patient:link&_sort=_id",
        "Patient?_revinclude=*&_count=10",
        "Patient?_revinclude=Observation:subject&_revinclude:iterate=Provenance:target&_revinclude=Task:patient",
        "Provenance?_include=Provenance:target&_include:iterate=Observation:performer",
        "List?_include=List:item&item.code=1-8",
        "List?item=Observation/o0,Observation/o1",
        "Task?focus:Observation.code=1-8",
        "Task?_include=*",
        "Provenance?target:Observation.subject:Patient.name=Fann",
        "Slot?schedule.actor:Patient.name=Fbob",
        "Slot?_include=Slot:schedule&_include:iterate=Schedule:actor",
        "Appointment?_include=Appointment:actor&actor=Patient/bob",
        "Binary?_count=1",
        "Binary?_id=x0,x1,x2,x3,x4",
        "DocumentReference?_include=*",
        "DiagnosticReport?result.code=1-8",
        "DiagnosticReport?_include=DiagnosticReport:result",
        "Observation?_list=l0",
        "Patient?_sort=-name&_count=1&_total=accurate",
        "Observation?code:missing=true&_summary=count",
        "Observation?subject:missing=true",
        "Patient?link:missing=false",
        "Observation?_lastUpdated=gt2020-01-01&_count=3",
        "Observation?_id=o0,o1,o2,o3&_elements=code",
        "Bundle?composition.subject:Patient.name=Fann",
        "Observation?_filter=subject.name eq Fbob",
        "Observation?category=laboratory&_count=1",
        "Observation?_tag=x",
        "Observation?_contained=both&_count=3",
        "Patient?_text=Fann",
        "Observation?_content=final",
        "Person?link=Patient/bob",
        "Basic?subject=Patient/cas",
        "?_id=ann,bob,o0,o1,t0",
        "_history?_since=2020-01-01",
        "Observation/_history?_list=l1",
        "Practitioner?_has:Observation:performer:subject=Patient/bob",
        "Organization?_has:Observation:performer:_id=o0,o1,o2,o4",
        "Patient?_has:Observation:subject:_has:Provenance:target:_id=p0,p1,p2,p3",
        "Patient?_has:Observation:subject:_has:Task:focus:status=requested&_total=accurate",
        "Medication?_has:MedicationRequest:medication:subject=Patient/bob",
        "Location?_revinclude=*",
        "Practitioner?_revinclude=Observation:performer&_count=2",
        "Organization?_revinclude=*&_revinclude:iterate=Provenance:target",
        "Observation?performer:Patient.name=Fbob&_total=accurate",
        "Observation?subject:Patient._has:Encounter:subject:_id=e0,e1",
        "Encounter?_sort=-subject,_id",
        "Task?_sort=focus&_total=accurate",
        "Task?focus=Observation/o0,Observation/o1,Observation/o2",
        "Task?patient.name=Fann,Fbob&_summary=count",
        "Bundle?_include=*&_total=accurate",
        "Bundle?composition.subject=Patient/cas",
        "Bundle?type=document&_elements=entry",
        "Binary?_has:DocumentReference:relatesto:_id=dr0",
        "Binary?_total=accurate&_summary=count",
        "Binary?_revinclude=*",
        "Binary?contenttype=text/plain&_sort=_id",
        "DocumentReference?location=Binary/x0,Binary/x1,Binary/x2",
        "Provenance?_sort=-recorded&_count=1&_total=accurate",
        "Group?member=Patient/bob&_summary=count",
        "Linkage?item=Observation/o0,Observation/o1&_include=*",
        "Composition?entry=Observation/o0,Observation/o2,Observation/o4",
        "Composition?subject.name=Fbob&_revinclude=*",
        "Consent?patient=bob&_total=accurate",
        "Observation?_security=R",
        "Observation?_security:not=R&_total=accurate",
        "Observation?_source:below=urn",
        "Observation?_filter=(subject.name eq Fbob or subject.name eq Fcas) and code eq 1-8",
        "?_type=Task,Provenance,Binary&_total=accurate&_count=4",
        "?_lastUpdated=gt2020-01-01&_summary=count",
        "_history?_count=4&_at=2023-11",
        "Task/_history?_count=2",
        "Binary/_history?_summary=count",
    )


def conditional_reads(trial: Trial) -> Iterator[tuple[str, Json]]:
    """Reads whose answer depends on what the client has already.

    Those of a single version: numbers tell that there were hidden versions (docs/security.md).
    """
    for key in (key for key, versions in trial.world.versions.items() if len(versions) == 1):
        yield key, {"if_none_match": 'W/"1"'}
        yield key, {"if_modified_since": "Fri, 01 Jan 2100 00:00:00 GMT"}
        yield f"{key}/_history/1", {"if_none_match": 'W/"1"'}


def writes(trial: Trial) -> Iterator[tuple[Any, ...]]:
    dice = trial.dice

    def patient() -> str:
        return dice.choice([*PATIENTS, "never"])

    def body(id_: str | None = None, type_: str = "Observation") -> Json:
        made = observation(patient(), dice) if type_ == "Observation" else {"subject": ref("Patient", patient())}
        made |= {"performer": [ref("Practitioner", "doc")]} if type_ == "Observation" else {}
        return {"resourceType": type_, **({"id": id_} if id_ else {}), **made}

    def some_id(type_: str) -> str:
        return dice.choice(
            [k.split("/")[1] for k in trial.world.versions if k.startswith(f"{type_}/")] + ["never", "n2"]
        )

    for _ in range(8):
        for type_ in ("Observation", "Condition"):
            id_ = some_id(type_)
            yield "PUT", f"{type_}/{id_}", body(id_, type_)
            yield "PATCH", f"{type_}/{id_}", [{"op": "add", "path": "/language", "value": dice.choice(["en", "de"])}]
            yield "POST", type_, body(None, type_)
            yield "PUT", f"{type_}?_id={id_}", body(dice.choice([id_, None]), type_)
            yield "PUT", f"{type_}?subject=Patient/{patient()}", body(some_id(type_), type_)
            yield "POST", type_, body(None, type_), {"if_none_exist": f"subject=Patient/{patient()}"}
            yield "POST", type_, body(None, type_), {"if_none_exist": f"subject.name=F{patient()}&_id={id_}"}
            yield "PATCH", f"{type_}?_id={id_}", [{"op": "add", "path": "/language", "value": "en"}]
            yield "PUT", f"{type_}/{id_}", body(id_, type_), {"if_none_match": "*"}
            yield "PUT", f"{type_}/{id_}", body(id_, type_), {"if_match": 'W/"99"'}
            yield "DELETE", f"{type_}/{id_}", None, {"if_match": 'W/"99"'}
            yield "PUT", f"{type_}/{id_}", body(id_, type_), {"if_match": "*"}
        yield "PATCH", f"Observation/{some_id('Observation')}", [
            {"op": "add", "path": "/subject", "value": ref("Patient", patient())}]  # fmt: skip
        yield "POST", "DocumentReference", {
            "resourceType": "DocumentReference", "status": "current", "subject": ref("Patient", patient()),
            "content": [{"attachment": {"url": f"Binary/{some_id('Binary')}"}}]}  # fmt: skip
        yield "POST", "Task", {"resourceType": "Task", "status": "draft", "intent": "order",
                               "focus": ref("Observation", some_id("Observation"))}  # fmt: skip
        yield "POST", "", _batch(trial, body, some_id, dice.choice(["batch", "transaction"]))
        meta = {"resourceType": "Parameters", "parameter": [
            {"name": "meta", "valueMeta": {"tag": [{"system": "urn:t", "code": "t"}]}}]}  # fmt: skip
        yield "POST", f"Observation/{some_id('Observation')}/$meta-add", meta
        yield "POST", f"Observation/{some_id('Observation')}/$meta-delete", meta
        yield "POST", f"Observation/{some_id('Observation')}/$purge", None
        yield "POST", f"{dice.choice(['Observation', 'Flag', 'Basic'])}/_search", None
    for _ in range(4):
        for type_ in ("Patient", "Observation", "Encounter", "Binary", "Device", "Task", "Composition", "Bundle"):
            yield "DELETE", f"{type_}/{some_id(type_)}", None
        for name, param in (
            ("Observation", "_has:Task:focus:_id=t0,t1,t2,t3"),
            ("Patient", "_has:Group:member:_id=g0"),
        ):
            yield "DELETE", f"{name}?{param}", None
            yield "PATCH", f"{name}?{param}", [{"op": "add", "path": "/language", "value": "en"}]
        yield "POST", "Observation", body(), {"if_none_exist": f"performer:Patient.name=F{patient()}"}
        yield "PUT", f"Task?focus=Observation/{some_id('Observation')}", {
            "resourceType": "Task", "status": "draft", "intent": "order", "for": ref("Patient", patient())}  # fmt: skip
        yield "PUT", f"Binary/{(id_ := some_id('Binary'))}", {
            "resourceType": "Binary", "id": id_, "contentType": "text/plain", "data": "aGk="}  # fmt: skip
        yield "DELETE", f"Flag/{some_id('Flag')}", None
        yield "DELETE", f"Condition?subject=Patient/{patient()}", None


def _batch(trial: Trial, body: Any, some_id: Any, kind: str) -> Json:
    dice, id_ = trial.dice, some_id("Observation")
    entries = [
        entry("PUT", f"Observation/{id_}", body(id_)),
        entry("GET", f"Observation/{some_id('Observation')}"),
        entry("GET", f"Patient?_has:Observation:subject:_id={some_id('Observation')}"),
        entry("POST", "Observation", body(), ifNoneExist=f"_id={some_id('Observation')}"),
        entry("POST", "Observation", body() | {"subject": {"reference": f"Patient?name=F{dice.choice(PATIENTS)}"}}),
        entry("PUT", f"Condition?_id={some_id('Condition')}", body(None, "Condition")),
        entry("GET", f"Observation/{id_}/_history"),
    ]  # fmt: skip
    return bundle(kind, *dice.sample(entries, 3))
