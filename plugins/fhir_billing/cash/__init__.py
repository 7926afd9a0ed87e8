"""Cash points: drawers, cashiers' shifts, receipts without gaps."""
