"""The settings of bridges: `[[plugins.fhir_bridges.out]]` and `[[plugins.fhir_bridges.into]]`."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
Kind = Literal["webhook", "kafka", "mqtt", "nats"]
_SCHEMES = {"webhook": ("http://", "https://"), "mqtt": ("mqtt://", "mqtts://"), "nats": ("nats://", "tls://")}


class _Bridge(BaseModel):
    """What both directions have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(description="Its name, of its cursor and its records too.")
    url: str = Field(description="Where: a URL; for Kafka `host:port,host:port`.")
    user: str = Field("", description="User at the broker.")
    password: SecretStr = Field(SecretStr(""), description="Password at the broker.")
    ca: str = Field("", description="File of the certificates that the other side is checked against.")
    options: dict[str, str] = Field({}, description="Kafka: properties of librdkafka beside these.")
    timeout: float = Field(30, gt=0, description="Seconds that the other side may take to answer.")


class Out(_Bridge):
    """Changes that go out."""

    kind: Kind = Field(description="What the other side is.")
    topic: str = Field(
        "fhir", description="Kafka topic; MQTT topic and NATS subject get `/tenant/Type/id` or `.tenant.Type` after it."
    )
    types: tuple[str, ...] = Field((), description="Resource types; none: all.")
    tenants: tuple[str, ...] = Field((), description="Tenants; none: all.")
    start: Literal["now", "beginning"] = Field("now", description="Where it begins in a tenant it has not seen.")
    content: Literal["full", "id"] = Field("full", description="The whole resource, or its name alone.")
    mode: Literal["binary", "structured"] = Field("structured", description="The form of the CloudEvent.")
    secret: SecretStr = Field(SecretStr(""), description="Webhook: key of the signature, at least 24 characters.")
    authorization: SecretStr = Field(SecretStr(""), description="Webhook: value of an Authorization header.")
    partitions: int = Field(1, ge=1, le=64, description="Batches that are under way at the same time.")

    @model_validator(mode="after")
    def _sound(self) -> Self:
        _check_url(self.kind, self.url)
        if self.kind == "webhook" and len(self.secret.get_secret_value()) < 24:
            raise ValueError(f"bridge {self.name}: a webhook needs a secret of at least 24 characters")
        return self


class In(_Bridge):
    """Messages that come in."""

    kind: Literal["kafka", "mqtt", "nats"] = Field(description="What the other side is.")
    topic: str = Field(description="Kafka topic, MQTT filter, NATS subject.")
    tenant: str = Field("default", description="Where what comes in is written.")
    group: str = Field("fhir-server", description="Kafka group, NATS durable consumer, MQTT client id.")
    stream: str = Field("", description="NATS: the stream; empty: the one that has the subject.")

    @model_validator(mode="after")
    def _sound(self) -> Self:
        _check_url(self.kind, self.url)
        return self


class BridgeSettings(BaseModel):
    """Bridges by direction."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: tuple[Out, ...] = Field((), description="Where changes go.")
    into: tuple[In, ...] = Field((), description="Where resources come from.")
    remember_days: int = Field(30, gt=0, description="Days for which ids of messages that came in are remembered.")

    @model_validator(mode="after")
    def _names(self) -> Self:
        for bridges in (self.out, self.into):
            names = [bridge.name for bridge in bridges]
            if len(set(names)) != len(names):
                raise ValueError("two bridges of one direction have one name")
        return self


def _check_url(kind: str, url: str) -> None:
    wanted = _SCHEMES.get(kind, ())
    if wanted and not url.startswith(wanted):
        raise ValueError(f"the url of a {kind} bridge begins with {' or '.join(wanted)}")
    if kind == "kafka" and "://" in url:
        raise ValueError("the url of a kafka bridge is host:port, or several with commas between")
