"""The list of core operations."""

from fhir_server.operations.audit_proofs import AUDIT_OPERATIONS
from fhir_server.operations.consent_decision import consent_decision
from fhir_server.operations.count_by import count_by
from fhir_server.operations.deidentify import deidentify
from fhir_server.operations.diff import diff, diff_resources
from fhir_server.operations.docref import docref
from fhir_server.operations.document import document
from fhir_server.operations.encounter_everything import encounter_everything
from fhir_server.operations.erase import erase_operation, legal_hold, replay_erasures
from fhir_server.operations.export_subject import export_subject
from fhir_server.operations.feed_status import feed_status
from fhir_server.operations.fhirpath import fhirpath
from fhir_server.operations.install_package import install_package, list_packages, uninstall_package
from fhir_server.operations.lastn import lastn
from fhir_server.operations.meta import meta
from fhir_server.operations.meta_changes import meta_add, meta_delete
from fhir_server.operations.operation import CoreOperation
from fhir_server.operations.patient_everything import patient_everything
from fhir_server.operations.purge import purge
from fhir_server.operations.reindex import reindex
from fhir_server.operations.retention import retention
from fhir_server.operations.snapshot import snapshot_operation
from fhir_server.operations.stats import stats
from fhir_server.operations.terminology import TERMINOLOGY_OPERATIONS
from fhir_server.operations.validate import validate


def core_operations() -> tuple[CoreOperation, ...]:
    """Return all operations of the core."""
    return (
        patient_everything,
        encounter_everything,
        meta,
        meta_add,
        meta_delete,
        reindex,
        validate,
        snapshot_operation,
        fhirpath,
        diff,
        diff_resources,
        purge,
        document,
        docref,
        lastn,
        stats,
        count_by,
        consent_decision,
        install_package,
        uninstall_package,
        list_packages,
        deidentify,
        erase_operation,
        export_subject,
        legal_hold,
        replay_erasures,
        retention,
        feed_status,
        *TERMINOLOGY_OPERATIONS,
        *AUDIT_OPERATIONS,
    )
