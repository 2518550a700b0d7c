"""How a judge compares with people, what its mean would be by their labels, and where it leans."""

from llmops_kernel.judge.calibration.advice import LabelAdvice, advise
from llmops_kernel.judge.calibration.biases import (
    LengthBias,
    PairLengthBias,
    PositionBias,
    length_bias,
    pair_length_bias,
    position_bias,
)
from llmops_kernel.judge.calibration.calibrate import calibrate, calibration_of
from llmops_kernel.judge.calibration.model import ENOUGH, Calibration

__all__ = [
    "ENOUGH",
    "Calibration",
    "LabelAdvice",
    "LengthBias",
    "PairLengthBias",
    "PositionBias",
    "advise",
    "calibrate",
    "calibration_of",
    "length_bias",
    "pair_length_bias",
    "position_bias",
]
