"""Measurements of what the project claims: each prints a table and writes its rows as JSON."""
