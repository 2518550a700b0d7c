"""Side environments: Python environments for packages whose pins cannot live in ours.

Training stacks, serving engines and other evaluation libraries each want their own versions of the
same packages. Each gets a virtual environment of its own, made from requirements and a lock that
ship with this package, and is used through processes only. Modules of this package that run there
(``python -m llmops_kernel.finetune.worker``) are found through `command_env`.
"""

from __future__ import annotations

from llmops_kernel.envs.create import create
from llmops_kernel.envs.machine import has_gpu
from llmops_kernel.envs.places import (
    Environment,
    command_env,
    environments,
    find,
    python_of,
    root,
)
from llmops_kernel.envs.recipes import RECIPES, Recipe, recipe_named

__all__ = [
    "RECIPES",
    "Environment",
    "Recipe",
    "command_env",
    "create",
    "environments",
    "find",
    "has_gpu",
    "python_of",
    "recipe_named",
    "root",
]
