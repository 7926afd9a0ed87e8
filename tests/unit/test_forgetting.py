"""Applications that have ended are let go of: a whole run makes hundreds of them in one process."""

import gc
import weakref

from fhir_server.testing.server import serving
from tests.conftest import forget_applications
from tests.plugins.only import but


def test_an_application_that_has_ended_is_not_kept() -> None:
    with serving(plugins_disabled=but()) as server:
        assert server.client.get("/health/live").status_code == 200
        held = weakref.ref(server.app)
    del server
    gc.freeze()
    forget_applications()
    gc.collect()
    assert held() is None
