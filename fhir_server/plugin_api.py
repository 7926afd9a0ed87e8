"""The only names that plugins import; docs/plugins.md shows them at work."""

from fhir_server.alerts import Alert, raise_alert
from fhir_server.api.xml import json_to_xml, xml_to_json
from fhir_server.audit.events import Agent as AuditAgent
from fhir_server.audit.events import Event as AuditFacts
from fhir_server.audit.events import agent_of as audit_agent
from fhir_server.audit.events import event_of as audit_facts
from fhir_server.audit.export import plain_line as audit_line
from fhir_server.audit.keeper import Sink as AuditSink
from fhir_server.audit.ledger import Head as AuditHead
from fhir_server.audit.ledger import line_of as audit_head_line
from fhir_server.audit.people import account_names
from fhir_server.audit.render import shown as audit_version
from fhir_server.auth.errors import OAuthError
from fhir_server.auth.jwks import JwksFetcher
from fhir_server.auth.scopes import contain as scopes_contain
from fhir_server.context import Caller, JobFile, JobHandle
from fhir_server.definitions import Definitions, OperationFacts
from fhir_server.errors import (
    BadRequest,
    BadValue,
    Busy,
    Conflict,
    FhirError,
    Forbidden,
    Gone,
    InvalidResource,
    Issue,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    TooCostly,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    UnknownPath,
)
from fhir_server.feed import Consumer, FeedChange, Scheduled
from fhir_server.fhirpath import (
    Expression,
    FhirPathError,
    LimitExceeded,
    Node,
    Options,
    Services,
    TypeModel,
    compile_expression,
    default_model,
    evaluate,
    model_of,
    system_value,
)
from fhir_server.fhirpath import Limits as FhirPathLimits
from fhir_server.fhirpath.ucum import Unit as UcumUnit
from fhir_server.fhirpath.ucum import unit as ucum_unit
from fhir_server.hookspecs import hookimpl
from fhir_server.interactions.bundle import write_bundle
from fhir_server.interactions.outcome import outcome
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.json import decode, encode
from fhir_server.model.keys import ResourceKey
from fhir_server.model.version import Version, instant
from fhir_server.operations.facts import facts_of
from fhir_server.operations.facts import r4 as r4_operation
from fhir_server.operations.inputs import Inputs
from fhir_server.operations.operation import Call
from fhir_server.operations.operation import CoreOperation as Operation
from fhir_server.operations.outputs import Outputs, Typed
from fhir_server.plugin_host.client import Beside, Client, Criteria, Resource
from fhir_server.plugin_host.context import Host, PluginContext, PluginStore
from fhir_server.plugin_host.later import later
from fhir_server.plugin_host.matching import Anchor, Compiled, Subject, compile_criteria, holds, subject_of
from fhir_server.plugin_host.outside import OutsideOnly, may_be_outside
from fhir_server.plugin_host.several import Put, Referrers
from fhir_server.plugin_host.snapshot import Rows, Snapshot, Wanted
from fhir_server.plugin_host.typed import ReadOnly, typed
from fhir_server.plugins.manifest import API_VERSION, Manifest, NoSettings
from fhir_server.plugins.registrations import (
    Background,
    Command,
    CommandFailed,
    Finding,
    HealthCheck,
    Interceptor,
    Metric,
    Migration,
    Page,
    Route,
    RouteRequest,
    RouteResponse,
    ScopeWords,
    Socket,
    SocketRoute,
    Verdict,
    Write,
    WriteCheck,
)
from fhir_server.storage.audit import AuditEntry, AuditPage, AuditQuery
from fhir_server.storage.base import (
    BlobChange,
    BlobRef,
    Collection,
    Record,
    RecordChange,
    RecordChanged,
    RecordField,
    StorageFull,
    StoreError,
    VersionChanged,
    Where,
)
from fhir_server.telemetry.sent import counted_delivery
from fhir_server.telemetry.tracing import outgoing as trace_headers

__all__ = [
    "API_VERSION",
    "Alert",
    "Anchor",
    "AuditAgent",
    "AuditEntry",
    "AuditFacts",
    "AuditHead",
    "AuditPage",
    "AuditQuery",
    "AuditSink",
    "Background",
    "BadRequest",
    "BadValue",
    "Beside",
    "BlobChange",
    "BlobRef",
    "Busy",
    "Call",
    "Caller",
    "Client",
    "Collection",
    "Command",
    "CommandFailed",
    "Compiled",
    "Conflict",
    "Consumer",
    "Criteria",
    "Definitions",
    "Expression",
    "FeedChange",
    "FhirError",
    "FhirPathError",
    "FhirPathLimits",
    "FhirRequest",
    "FhirResponse",
    "Finding",
    "Forbidden",
    "Gone",
    "HealthCheck",
    "Host",
    "Inputs",
    "Interceptor",
    "InvalidResource",
    "Issue",
    "JobFile",
    "JobHandle",
    "JwksFetcher",
    "LimitExceeded",
    "Manifest",
    "MethodNotAllowed",
    "Metric",
    "Migration",
    "NoSettings",
    "Node",
    "NotFound",
    "OAuthError",
    "Operation",
    "OperationFacts",
    "Options",
    "Outputs",
    "OutsideOnly",
    "Page",
    "PluginContext",
    "PluginStore",
    "PreconditionFailed",
    "Put",
    "ReadOnly",
    "Record",
    "RecordChange",
    "RecordChanged",
    "RecordField",
    "Referrers",
    "Resource",
    "ResourceKey",
    "Route",
    "RouteRequest",
    "RouteResponse",
    "Rows",
    "Scheduled",
    "ScopeWords",
    "Services",
    "Snapshot",
    "Socket",
    "SocketRoute",
    "StorageFull",
    "StoreError",
    "Subject",
    "TooCostly",
    "TooLarge",
    "TooManyRequests",
    "TypeModel",
    "Typed",
    "UcumUnit",
    "Unauthorized",
    "UnknownPath",
    "Verdict",
    "Version",
    "VersionChanged",
    "Wanted",
    "Where",
    "Write",
    "WriteCheck",
    "account_names",
    "audit_agent",
    "audit_facts",
    "audit_head_line",
    "audit_line",
    "audit_version",
    "compile_criteria",
    "compile_expression",
    "counted_delivery",
    "decode",
    "default_model",
    "encode",
    "evaluate",
    "facts_of",
    "holds",
    "hookimpl",
    "instant",
    "json_to_xml",
    "later",
    "may_be_outside",
    "model_of",
    "outcome",
    "r4_operation",
    "raise_alert",
    "scopes_contain",
    "subject_of",
    "system_value",
    "trace_headers",
    "typed",
    "ucum_unit",
    "write_bundle",
    "xml_to_json",
]
