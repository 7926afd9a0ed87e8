"""Settings of messaging; docs/messaging.md shows them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Positive = Annotated[int, Field(gt=0)]


class MessagingSettings(BaseModel):
    """Settings of `[plugins.fhir_messaging]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unhandled: Literal["store", "refuse"] = Field(
        "store", description="What becomes of a message whose event has a MessageDefinition, but no plugin for it."
    )
    endpoints: dict[str, SecretStr] = Field(
        {}, description="URLs that begin so may get responses to asynchronous messages, with a bearer token or empty."
    )
    remember_days: Positive = Field(
        90, description="Days for which a response is kept, to answer the same message again."
    )
    delivery_hours: Positive = Field(72, description="Hours for which the delivery of a response is tried.")
    delivery_timeout: Positive = Field(20, description="Seconds that the receiver of a response may take.")
    handler_timeout: Positive = Field(60, description="Seconds that a plugin may take for a message.")
