"""Tenants: each with its own record, users and rules, and nothing of another."""
