"""Payments: one state machine for all processors, webhooks that make us ask, rates of exchange, refunds."""
