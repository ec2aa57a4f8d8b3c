"""Conformance checks, public, so that strangers can test their own parts."""
