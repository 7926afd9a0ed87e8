"""What the expressions of R4's search parameters lead to is kept, and as they have it."""

from scripts.generate_standard import TARGET, text


def test_what_is_kept_of_expressions_is_what_they_lead_to() -> None:
    assert TARGET.read_text() == text(), "run python -m scripts.generate_standard"
