"""Subcommands of ``dichroism`` that belong to the operator; the table of all is in ``dichroism_cli``."""
