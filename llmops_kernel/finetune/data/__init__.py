"""Rows to train on: read in many forms, cleaned, counted, and split without leakage.

Nothing is left out silently: the manifest tells for every reason how many rows it cost. What comes
out is one form, JSONL of ``messages`` or of ``prompt`` and ``completion``, with its hash.
"""
