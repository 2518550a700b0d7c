"""Typed output: JSON schemas filled from text."""
