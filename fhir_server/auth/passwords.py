"""What a password must be. Spec: https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver"""

from fhir_server.auth.users import User, folded
from fhir_server.settings import Settings

_LONGEST = 1_024
_FEWEST_KINDS = 5
_COMMON = (
    "password", "passwort", "motdepasse", "contrasena", "qwerty", "qwertz", "azerty", "asdfgh", "letmein", "welcome",
    "iloveyou", "abc123", "monkey", "dragon", "sunshine", "princess", "football", "baseball", "superman", "trustno1",
    "changeme", "administrator", "admin", "default", "secret", "hospital", "doctor", "123456", "654321", "111111",
    "1q2w3e4r", "zaq12wsx", "master", "login", "starwars", "whatever", "computer", "internet", "service", "summer",
    "winter", "spring", "autumn", "monday", "friday", "january", "december",
)  # fmt: skip
_DIGITS = "01234567890123456789"
_SAFE_REST = 6


def fault(settings: Settings, user: User, password: str) -> str:
    """Return what is wrong with a password in a sentence; empty where nothing is."""
    if len(password) < settings.password_length:
        return f"The password needs at least {settings.password_length} characters."
    if len(password) > _LONGEST:
        return f"The password may have {_LONGEST} characters at most."
    low = folded(password)
    if any(len(name) > 3 and name in low for name in (user.name, folded(user.display))):
        return "The password must not hold your name."
    if len(set(low)) < _FEWEST_KINDS or low in _DIGITS or low[::-1] in _DIGITS:
        return "The password is made of too few different characters."
    if any(len(_without(low, word)) < _SAFE_REST for word in _COMMON):
        return "The password is one that many people use; take another."
    return ""


def _without(password: str, word: str) -> str:
    """Return what is left of a password without a common word and the digits and signs that people put around one."""
    rest = password.replace(word, "")
    return rest if rest == password else "".join(letter for letter in rest if letter.isalpha())
