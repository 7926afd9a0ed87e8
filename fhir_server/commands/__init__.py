"""The subcommands of `fhir-server`, one module each."""
