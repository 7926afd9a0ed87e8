"""The settings of the viewer."""

from pydantic import BaseModel, Field


class ViewerSettings(BaseModel):
    """Names begin with the name of this part."""

    viewer_folder: str = Field(
        "",
        description="Folder where `scripts/fetch_viewer` put OHIF; empty: `~/.local/share/fhir-server/viewer`. Where "
        "nothing is there, a small page of the server's own shows studies.",
    )
    viewer_client: str = Field(
        "viewer", description="Id of the SMART app that the viewer is; register it with `fhir-server clients add`."
    )
    viewer_scopes: str = Field(
        "launch openid fhirUser user/ImagingStudy.rs user/Patient.rs",
        description="What the viewer asks for where nobody launched it from a patient.",
    )
    viewer_patient_scopes: str = Field(
        "launch openid fhirUser patient/ImagingStudy.rs patient/Patient.rs",
        description="What the viewer asks for when it is launched from a record.",
    )
