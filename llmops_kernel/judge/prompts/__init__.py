"""What a model judge is told: versioned texts, and the fences around the text under test."""

from llmops_kernel.judge.prompts.fence import fenced
from llmops_kernel.judge.prompts.text import JudgePrompt, Task

__all__ = ["JudgePrompt", "Task", "fenced"]
