"""Scores outputs: metrics with intervals and floors, comparisons, reports."""
