"""Movers: what carries, verifies and removes files, one implementation for each kind of hop."""
