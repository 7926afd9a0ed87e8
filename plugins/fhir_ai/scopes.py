"""Operations that ask for a scope of this plugin."""

from typing import Final

from fhir_server.plugin_api import Forbidden, PluginContext

_EVERYBODY: Final = "*"
"""The grant of everybody, where nobody is asked for a token."""


def hold_to(ctx: PluginContext, scope: str, *others: str) -> None:
    """Let administrators and those who have one of these scopes go on. Raises Forbidden: the first is named."""
    caller = ctx.caller
    if caller.grant != _EVERYBODY and not caller.admin and not {scope, *others} & set(caller.scopes.split()):
        raise Forbidden(f"this asks for the scope {scope}, or for an administrator", expression="http.authorization")
