"""Accounting of disclosures: to whom a patient's data went, when, what, and what for.

Source: 45 CFR 164.528, https://www.ecfr.gov/current/title-45/section-164.528
"""
