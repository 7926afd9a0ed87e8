"""What plugins do by themselves within the request of a user names both."""

from pathlib import Path
from typing import Any

from tests.conformance.audit.conftest import Audited
from tests.conformance.smart.conftest import filled, started
from tests.plugins.platform.conftest import INSTALLED


def clients(event: dict[str, Any]) -> list[str]:
    found = [agent["who"].get("identifier", {}).get("value", "") for agent in event["agent"]]
    return [name for name in found if name.startswith(("plugin:", "public-app"))]


async def test_a_refused_search_of_a_plugin_names_the_user_the_app_and_the_plugin(tmp_path: Path) -> None:
    async with started(tmp_path, plugins_dir=INSTALLED) as ehr:
        await filled(ehr)
        audited = Audited(ehr, ehr.doctor, tmp_path)
        token = await ehr.bearer("user/*.rs", user=ehr.doctor)
        answer = await ehr.fhir("Patient/$hello?name=observe", token)
        assert answer.status_code == 403, "the plugin has no scope for it"
        (search,) = await audited.events("subtype=search-type&agent=Practitioner/doc&_count=1", token)
        assert clients(search) == ["public-app", "plugin:probe"]
        (operation,) = await audited.events("subtype=operation&_count=1", token)
        assert clients(operation) == ["public-app"]
