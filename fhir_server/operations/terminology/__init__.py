"""The operations of the terminology service.

Spec: https://hl7.org/fhir/R4/terminology-service.html
"""

from fhir_server.operations.operation import CoreOperation
from fhir_server.operations.terminology.batch_validate_code import batch_validate_code
from fhir_server.operations.terminology.closure import closure
from fhir_server.operations.terminology.expand import expand
from fhir_server.operations.terminology.find_matches import find_matches
from fhir_server.operations.terminology.lookup import lookup
from fhir_server.operations.terminology.subsumes import subsumes
from fhir_server.operations.terminology.translate import translate
from fhir_server.operations.terminology.validate_code import validate_in_code_system, validate_in_value_set
from fhir_server.operations.terminology.versions import versions

TERMINOLOGY_OPERATIONS: tuple[CoreOperation, ...] = (
    expand,
    lookup,
    validate_in_value_set,
    validate_in_code_system,
    batch_validate_code,
    subsumes,
    find_matches,
    translate,
    closure,
    versions,
)
