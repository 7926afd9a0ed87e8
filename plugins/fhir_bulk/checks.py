"""Holds groups to criteria that can be asked: one that cannot would fail only when the group is exported.

Spec: https://build.fhir.org/ig/HL7/bulk-data/group.html
"""

from fhir_bulk.members import filters_of
from fhir_server.plugin_api import FhirError, Finding, PluginContext, Snapshot, Verdict, Wanted, Write


async def check_group(ctx: PluginContext, write: Write) -> Verdict | None:
    """Refuse a group with criteria that cannot be read or are about no patients."""
    if write.resource is None:
        return None
    try:
        filters = filters_of(write.resource)
        snapshot = Snapshot(ctx.core, 0, 0)
        for type_, _ in filters:
            if type_ not in ctx.core.definitions.resource_types or not snapshot.links_patients(type_):
                return _refused(f"{type_[:80]} is no type that is part of patients' records")
        if filters:
            snapshot.check("Patient", Wanted(cohort=filters))
    except FhirError as error:
        return _refused(str(error))
    return None


def _refused(text: str) -> Verdict:
    return Verdict(
        [Finding(f"a member filter cannot be asked: {text}", "Group.modifierExtension", code="not-supported")]
    )
