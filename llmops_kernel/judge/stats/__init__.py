"""Statistics that decide: intervals, paired tests, power, agreement, and correction by labels.

All of it takes plain numbers, is deterministic for its seed, and names the source of each formula.
Values of one cluster (one document, one conversation) are never counted as independent.
"""

from llmops_kernel.judge.stats.agreement import cohen_kappa, krippendorff_alpha
from llmops_kernel.judge.stats.correction import ppi_mean, rogan_gladen
from llmops_kernel.judge.stats.detection import Detection, auc, detection
from llmops_kernel.judge.stats.intervals import (
    Interval,
    bootstrap_mean,
    mean_interval,
    t_mean,
    wilson,
)
from llmops_kernel.judge.stats.multiple import holm
from llmops_kernel.judge.stats.paired import SignFlip, mcnemar, paired_difference, sign_flip
from llmops_kernel.judge.stats.power import mde, n_needed
from llmops_kernel.judge.stats.sequential import alpha_spent, look_levels

__all__ = [
    "Detection",
    "Interval",
    "SignFlip",
    "alpha_spent",
    "auc",
    "bootstrap_mean",
    "cohen_kappa",
    "detection",
    "holm",
    "krippendorff_alpha",
    "look_levels",
    "mcnemar",
    "mde",
    "mean_interval",
    "n_needed",
    "paired_difference",
    "ppi_mean",
    "rogan_gladen",
    "sign_flip",
    "t_mean",
    "wilson",
]
