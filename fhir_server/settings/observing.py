"""Settings: numbers, logs, traces."""

from typing import Literal

from pydantic import Field

from fhir_server.settings.kinds import Section


class Observing(Section):
    """Numbers, logs, traces."""

    metrics: Literal["open", "local", "off"] = Field(
        "local", description="Who may read `/metrics`: everybody, this machine, nobody."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Form of the lines of the log; `json`: one object a line, with ids of request and trace."
    )
    access_log: bool = Field(
        False, description="Write a line of the log for each FHIR request: what was asked in outline, status, time."
    )
    slow_request: float = Field(
        2, ge=0, description="Seconds from which a FHIR request is named in the log, in outline; 0: never."
    )
    tracing: Literal["off", "on"] = Field(
        "off", description="Whether traces are sent to an OpenTelemetry collector (`pip install 'fhir-server[otel]'`)."
    )
    tracing_endpoint: str = Field(
        "http://127.0.0.1:4318", description="Address of the collector, OTLP over HTTP; `/v1/traces` is added."
    )
    tracing_share: float = Field(
        1, ge=0, le=1, description="Share of requests that are traced, where no caller has decided."
    )
    tracing_logs: bool = Field(False, description="Whether lines of the log are sent to the collector too.")
