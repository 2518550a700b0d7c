"""The planner: what a model needs on a GPU, whether it fits, and what its tokens cost.

Pure arithmetic on a model's shape, without a GPU and without a call. Bytes are counted in GiB
(1024³) where memory is meant and in GB (1000³) where files are. A figure is exact where the
formula is, and else a range that names the published measurement it leans on.
"""

from llmops_kernel.serve.plan.config import read_shape, shape_of
from llmops_kernel.serve.plan.demand import Demand
from llmops_kernel.serve.plan.figure import GB, GIB, Figure
from llmops_kernel.serve.plan.gpus import Gpu, find_gpu, known_gpus
from llmops_kernel.serve.plan.known import find_shape, known_models
from llmops_kernel.serve.plan.money import BreakEven, Work, break_even, roofline, usd_per_million
from llmops_kernel.serve.plan.serving import ServingPlan, plan_serving
from llmops_kernel.serve.plan.shape import Shape
from llmops_kernel.serve.plan.training import TrainingDemand, TrainingPlan, plan_training
from llmops_kernel.serve.plan.weights import bits_per_weight, dtype_named, weight_bytes

__all__ = [
    "GB",
    "GIB",
    "BreakEven",
    "Demand",
    "Figure",
    "Gpu",
    "ServingPlan",
    "Shape",
    "TrainingDemand",
    "TrainingPlan",
    "Work",
    "bits_per_weight",
    "break_even",
    "dtype_named",
    "find_gpu",
    "find_shape",
    "known_gpus",
    "known_models",
    "plan_serving",
    "plan_training",
    "read_shape",
    "roofline",
    "shape_of",
    "usd_per_million",
    "weight_bytes",
]
