"""Serving one text's answer for another, only where that is known to be right.

Tiers in order of trust, each with its own evidence: the exact text; `verbatim`, a rule for
questions asked again with other manners; `strict`, which asks a verifier (off by default) or a
person's own; `margin`, which learns from the cache's own entries and stays off until its errors per
hit are known. Texts are compared in memory (`partition`) or, where they are too many, by the
record's PostgreSQL server (`server_partition`). `eligible` keeps personal, time-dependent, tool and
multi-turn requests away from all of them but the exact one; `evaluate` measures them on pairs.
"""
