"""LLMOps for Jupyter."""
from llmops_kernel._version import __version__
__all__=["__version__"]
