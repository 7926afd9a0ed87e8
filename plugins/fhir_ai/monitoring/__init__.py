"""Monitoring: what models said against what they were trained on and what became of the patients."""
