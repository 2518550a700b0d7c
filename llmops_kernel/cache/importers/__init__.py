"""Bringing answers over from other caches: read what they kept, doubt it, keep what is safe.

Another cache's row is never served because it was there. `gptcache` reads GPTCache's SQLite store
without running anything of it; `answers` puts rows behind keys of ours, on a person's word about
which model and system text they were answered by; `pairs` writes what is to be judged.
"""
