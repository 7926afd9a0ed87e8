"""Settings: rules of the record."""

from typing import Literal

from pydantic import Field

from fhir_server.settings.kinds import Section


class RecordRules(Section):
    """Rules of the record."""

    validation: Literal["off", "structure", "full"] = Field(
        "full", description="What is checked before a write: shape alone, or also rules, codes and profiles."
    )
    update_create: bool = Field(True, description="Whether PUT may create a resource with the client's id.")
    integrity_on_delete: bool = Field(True, description="Refuse to delete what other resources refer to.")
    integrity_on_write: bool = Field(False, description="Refuse references to resources that do not exist.")
    default_timezone: str = Field("UTC", description="Zone of dates that name none.")
    unknown_parameters: Literal["strict", "lenient"] = Field(
        "strict", description="What happens to unknown search parameters when the client has no preference."
    )
