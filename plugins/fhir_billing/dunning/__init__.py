"""Subscriptions that are billed again and again, and the dunning of what is not paid."""
