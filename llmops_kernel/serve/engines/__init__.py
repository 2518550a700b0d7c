"""Serving engines: the command of each, where it is found, and what it can do."""

from llmops_kernel.serve.engines.choose import ENGINE_NAMES, choose_engine, engine_named
from llmops_kernel.serve.engines.protocol import Capabilities, Command, Engine, Start

__all__ = [
    "ENGINE_NAMES",
    "Capabilities",
    "Command",
    "Engine",
    "Start",
    "choose_engine",
    "engine_named",
]
