"""Statements and reports: what a party owes and paid, what is owed by age, how long it takes, what was denied."""
