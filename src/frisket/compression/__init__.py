"""Edits that remove or replace."""
