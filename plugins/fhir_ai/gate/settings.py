"""Remote: a model elsewhere, as the operator sets it up."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Remote(BaseModel):
    """One line of meaning each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="Where it is asked, https.")
    adapter: Literal["chat", "json"] = Field(
        "chat", description="How it is spoken with: chat (messages, as most generative models take them) or json."
    )
    model: str = Field("", description="Its name there.")
    token: SecretStr = Field(SecretStr(""), description="Bearer token, if it asks for one.")
    timeout: float = Field(10.0, gt=0, le=120, description="Seconds that an answer may take.")
    most: int = Field(20_000, gt=0, description="Bytes of an answer that are read.")
    text: bool = Field(False, description="Whether free text of the caller may go there, names and numbers taken out.")
    inside: bool = Field(False, description="Whether it may lie in a private network.")
