"""Settings: where and how it serves."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from fhir_server.settings.kinds import Count, Positive, Section


class Serving(Section):
    """Where and how it serves."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    base_url: str = Field("", description="Public URL of the FHIR endpoint; empty: taken from each request.")
    trusted_proxies: tuple[str, ...] = Field(
        ("127.0.0.1", "::1"), description="Peers whose X-Forwarded-* headers are believed."
    )
    cors_origins: tuple[str, ...] = Field(
        ("*",),
        description="Origins that browsers may call from; with `auth=none` those of this machine, and others by name.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="With `auth=none`: hosts that requests may be for, besides this machine, that of `base_url` and "
        "those of tenants.",
    )
    workers: Positive = Field(1, description="Processes that answer requests.")
    drain: Count = Field(
        0,
        description="Seconds after SIGTERM in which `/health/ready` is 503 and answers end their connections, so that "
        "a balancer sends requests elsewhere, before the sockets close.",
    )
    stop_grace: Positive = Field(15, description="Seconds that requests under way then have to end.")
    coordinator_url: str = Field(
        "",
        description="Redis that counts the rate limits of all nodes, `redis://host:6379/0`; empty: they are counted in "
        "the store, or with SQLite in a file.",
    )
    data_dir: Path = Field(Path("data"), description="Folder of the embedded store; one server owns it at a time.")
    package_dir: Path | None = Field(None, description="Folder of IG packages (.tgz) in force for all tenants.")
    demo: bool = Field(True, description="Load demo patients into an empty data folder.")
    tls_cert: Path | None = Field(None, description="PEM file with the certificate chain; with it, HTTPS alone.")
    tls_key: Path | None = Field(None, description="PEM file with the private key of the certificate.")
    tls_self_signed: bool = Field(False, description="Make a certificate of its own, for trials.")
    tls_minimum: Literal["1.3", "1.2"] = Field("1.3", description="Oldest version of TLS that is spoken.")
    tls_check: Positive = Field(10, description="Seconds after which a worker looks for a renewed certificate.")
    hsts: Count = Field(31_536_000, description="Seconds that browsers stay with HTTPS once they saw it; 0: not told.")
