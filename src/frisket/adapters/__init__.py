"""Edits that add."""
