"""The hooks of the plugin."""

from importlib.resources import files
from typing import Any

from fhir_ai.cds.feedback import CARDS, OVERRIDES, sweep
from fhir_ai.cds.services import SERVICE, add_services
from fhir_ai.conformance import code_systems
from fhir_ai.features import store as features
from fhir_ai.findings.diagnose import diagnose_support
from fhir_ai.findings.lab import feed as lab
from fhir_ai.findings.lab.anomaly import lab_anomaly
from fhir_ai.findings.lab.issue import ISSUES
from fhir_ai.gate import operations as gate
from fhir_ai.maternal import watch as pregnancies
from fhir_ai.maternal.records import PREGNANCIES
from fhir_ai.monitoring import measure, watch
from fhir_ai.monitoring import operations as monitoring
from fhir_ai.operations.group import group_risk_assess
from fhir_ai.operations.maternal import maternal_assess
from fhir_ai.operations.risk import risk_assess
from fhir_ai.operations.triage import triage
from fhir_ai.registry import operations as registry
from fhir_ai.registry.commands import command
from fhir_ai.registry.recorder import PREDICTIONS, Recorder
from fhir_ai.registry.records import ALIASES, VERSIONS
from fhir_ai.settings import AiSettings
from fhir_ai.text.operation import extract_document
from fhir_server.plugin_api import (
    Collection,
    Command,
    Consumer,
    Host,
    Metric,
    Operation,
    OperationFacts,
    Scheduled,
    ScopeWords,
    decode,
    facts_of,
    hookimpl,
)  # fmt: skip


@hookimpl
def register_operations() -> list[Operation]:
    """Add triage, risk and the assessment of pregnancies."""
    return [
        Operation(_own("triage"), triage, "Acuity by NEWS2 bands, red flags and maternal criteria, each rule named."),
        Operation(
            _findings("diagnose-support"), diagnose_support, "What findings speak for, ranked, with the evidence."
        ),
        Operation(_findings("lab-anomaly"), lab_anomaly, "Whether a laboratory result stands out, by which check."),
        Operation(_own("maternal-assess"), maternal_assess, "Maternal warning criteria, with an alert if one is met."),
        Operation(_own("risk-assess"), risk_assess, "Published scores of a patient, and why the others do not hold."),
        Operation(
            _own("group-risk-assess"),
            group_risk_assess,
            "Scores and models of all members of a group, as a job.",
            background=True,
            any_format=True,
        ),
        Operation(
            _in("fhir_ai.text", "extract"), extract_document, "What a document says, as suggestions with places."
        ),
        *registry.operations(),
        *monitoring.operations(),
        *gate.operations(),
    ]


@hookimpl
def register_conformance() -> list[dict[str, Any]]:
    """Add the code systems of outputs."""
    return [*code_systems(), measure.code_system(), measure.measure()]


@hookimpl
def register_collections() -> list[Collection]:
    """Keep the registry of models, and what they said."""
    return [VERSIONS, ALIASES, PREDICTIONS, features.ROWS, watch.FIGURES, ISSUES, PREGNANCIES, CARDS, OVERRIDES]


@hookimpl
def register_consumers(settings: AiSettings) -> list[Consumer]:
    """Look at new laboratory results, follow pregnancies, keep the features of models."""
    feature_store = features.consumers(on=settings.feature_store)
    return [*lab.consumers(settings), *pregnancies.consumers(settings), *feature_store]


@hookimpl
def register_scopes() -> list[ScopeWords]:
    """Add the scopes of who decides which models serve, and of who sees how they do."""
    return [*registry.SCOPES, *monitoring.SCOPES, *gate.SCOPES]


@hookimpl
def register_scheduled_jobs(settings: AiSettings) -> list[Scheduled]:
    """Look at the models at night; forget old cards."""
    cards = Scheduled("cards", sweep, every=3600, each_tenant=True, written_only=True)
    return [watch.scheduled(settings.monitor_cron), cards]


@hookimpl
def register_metrics() -> list[Metric]:
    """Show the figures of the last look."""
    return watch.metrics()


@hookimpl
def register_commands() -> list[Command]:
    """Add `fhir-server models`."""
    return [command()]


@hookimpl
async def on_start(host: Host) -> None:
    """Add the CDS services, where there is a plugin that serves them."""
    services = (await host.context()).services.get(SERVICE)
    if services is not None:
        add_services(host, services)


@hookimpl
async def on_stop(host: Host) -> None:
    """Keep what models said a moment ago."""
    recorder: Recorder | None = host.shared.get("recorder")
    if recorder is not None:
        await recorder.flush()


def _in(package: str, name: str) -> OperationFacts:
    return facts_of(decode(files(package).joinpath(f"{name}.json").read_bytes()))


def _own(name: str) -> OperationFacts:
    return facts_of(decode(files("fhir_ai.operations").joinpath(f"{name}.json").read_bytes()))


def _findings(name: str) -> OperationFacts:
    return facts_of(decode(files("fhir_ai.findings").joinpath(f"{name}.json").read_bytes()))
