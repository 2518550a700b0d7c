"""The models of this machine: what was trained, from what, how good it is, and its files.

A version is a folder that is whole or not there at all. Its name is a hash of configuration, data
and base, so the same training is the same version wherever it ran.
"""

from __future__ import annotations

from llmops_kernel.finetune.registry.registry import Registry
from llmops_kernel.finetune.registry.version import STAGES, Version

__all__ = ["STAGES", "Registry", "Version"]
