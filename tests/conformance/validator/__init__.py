"""The official cases of the reference validator."""
