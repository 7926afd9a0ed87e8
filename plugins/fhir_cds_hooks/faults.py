"""What is wrong with a call, as errors with their status."""

from fhir_server.plugin_api import FhirError


class BrokenService(FhirError):
    """A service failed, or gave what is no card: its plugin's fault."""

    status, code = 500, "exception"


class SlowService(FhirError):
    """A service took too long."""

    status, code = 504, "timeout"


class Unproved(FhirError):
    """The client did not prove who it is."""

    status, code = 401, "login"


class MissingData(FhirError):
    """The service cannot get the data that it needs. Spec: https://cds-hooks.hl7.org/2.0/#http-status-codes"""

    status, code = 412, "not-found"
