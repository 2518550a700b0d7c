"""Shorter prompts with nothing lost: what is said twice, blank space, tables, and what a question
does not need.

A `Compressor` is a row of small steps with a report of what each saved. The stable prefix (system
text, examples) stays byte-equal from call to call, so that a provider's own prompt cache still
hits. `accept` decides by a judge's paired scores whether a change may be made.
"""  # noqa: D205 - the room in one paragraph

from llmops_kernel.prompts.compress.accept import Acceptance, accept
from llmops_kernel.prompts.compress.compressor import Compressor
from llmops_kernel.prompts.compress.packing import pack_documents, pack_passages
from llmops_kernel.prompts.compress.plugin import LLMLingua, Plugin
from llmops_kernel.prompts.compress.report import Compressed, StepReport
from llmops_kernel.prompts.compress.select import select_sentences
from llmops_kernel.prompts.compress.steps import (
    Blank,
    Duplicates,
    Json,
    Pack,
    Plugged,
    Select,
    Step,
)
from llmops_kernel.prompts.compress.tables import TablePassage, find_rows, move_tables

__all__ = [
    "Acceptance",
    "Blank",
    "Compressed",
    "Compressor",
    "Duplicates",
    "Json",
    "LLMLingua",
    "Pack",
    "Plugged",
    "Plugin",
    "Select",
    "Step",
    "StepReport",
    "TablePassage",
    "accept",
    "find_rows",
    "move_tables",
    "pack_documents",
    "pack_passages",
    "select_sentences",
]
