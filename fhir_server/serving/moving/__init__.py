"""Moving an installation to another engine: `fhir-server migrate`."""
