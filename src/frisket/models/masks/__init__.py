"""Attention masks: predicates over query and key tags."""
