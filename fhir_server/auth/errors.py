"""OAuth errors, which go to clients as JSON or in a redirect, not as an OperationOutcome.

Spec: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
"""


class OAuthError(Exception):
    """A refusal with its code; `status` is that of the token endpoint's answer.

    Args:
        code: one that the specification names: `invalid_client`, `invalid_grant`, ...
        said: what is wrong, for the developer of the client; no secrets, no hints about users.
    """

    def __init__(self, code: str, said: str, status: int = 400) -> None:
        super().__init__(f"{code}: {said}")
        self.code, self.said, self.status = code, said, status

    def as_json(self) -> dict[str, str]:
        """Return the body of the answer."""
        return {"error": self.code, "error_description": self.said}


def invalid_client(said: str) -> OAuthError:
    """Return the refusal of a client that did not prove who it is."""
    return OAuthError("invalid_client", said, 401)
