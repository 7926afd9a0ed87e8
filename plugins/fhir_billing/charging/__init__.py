"""Charging: price lists, tariffs of payers, packages, discounts and exemptions by rule; capture from the feed."""
