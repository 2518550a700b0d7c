"""Checks of an installation, as data: ``llmops doctor`` and ``%llmops doctor`` show them."""

from llmops_kernel.doctor.checks import Check, run_checks

__all__ = ["Check", "run_checks"]
