"""What we do for those who call, by message."""

from collections.abc import Mapping
from typing import Final

from dicomweb.dimse.services.commitment import commit, committed
from dicomweb.dimse.services.echo import echo
from dicomweb.dimse.services.find import find
from dicomweb.dimse.services.mpps import mpps_create, mpps_get, mpps_set
from dicomweb.dimse.services.retrieve import get, move
from dicomweb.dimse.services.store import store
from dicomweb.dimse.session import Serve
from dicomweb.dimse.wire.command import Field

SERVICES: Final[Mapping[int, Serve]] = {
    Field.C_ECHO_RQ: echo,
    Field.C_STORE_RQ: store,
    Field.C_FIND_RQ: find,
    Field.C_MOVE_RQ: move,
    Field.C_GET_RQ: get,
    Field.N_CREATE_RQ: mpps_create,
    Field.N_SET_RQ: mpps_set,
    Field.N_GET_RQ: mpps_get,
    Field.N_ACTION_RQ: commit,
    Field.N_EVENT_REPORT_RQ: committed,
}
