"""Keeps out what must not pass: today secrets, in everything that is recorded, shown or saved.

`Secrets` knows the literal keys of this process and the shapes of others, and takes both out of
texts and JSON-like values on their way to the record, to outputs, logs and saved notebooks.
Detectors for input, retrieved text, tool arguments and model output belong here too.
"""

from llmops_kernel.guard.secrets import MASK, Secrets, looks_secret

__all__ = ["MASK", "Secrets", "looks_secret"]
