"""The settings of subscriptions."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class SubscriptionSettings(BaseModel):
    """Times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inside: bool = Field(False, description="Whether endpoints may lie in private networks, this machine included.")
    at_once: int = Field(64, gt=0, description="Notifications that are under way at the same time.")
    timeout: float = Field(10, gt=0, description="Seconds that an endpoint may take; a subscription may say less.")
    first_pause: float = Field(2, gt=0, description="Seconds before the first try again; each next pause is doubled.")
    longest_pause: float = Field(3_600, gt=0, description="Longest pause between two tries.")
    give_up: float = Field(3 * 86_400, gt=0, description="Seconds of failing after which a subscription is in error.")
    max_count: int = Field(100, gt=0, description="Most events in one notification, whatever a subscription asks for.")
    kept: float = Field(7 * 86_400, gt=0, description="Seconds for which events can be asked for by $events.")
    shortest_heartbeat: int = Field(5, gt=0, description="Shortest heartbeat period that is taken.")
    tokens_live: int = Field(300, gt=0, description="Seconds for which a token for a WebSocket can be used.")
    poll: float = Field(0.5, gt=0, description="Seconds between two looks for events of an open WebSocket.")
    smtp: str = Field("", description="Mail server, `smtp://host:port` or `smtps://user@host:port`; empty: no mail.")
    smtp_password: SecretStr = Field(SecretStr(""), description="Password at the mail server.")
    mail_from: str = Field("", description="Address that mails come from.")
    mail_payload: bool = Field(False, description="Whether resources may go out by mail; else mails name no patient.")
