"""What a person sees: mime bundles built from plain data.

Every function here takes data and returns a `View` (HTML and text with the figures beside them in
output metadata) or a plain string. Nothing is looked up, called or stored. Each value is escaped,
and there is no style, script or class in the HTML, because notebook viewers drop them: the markup
is semantic (captions, header scopes, meters with text beside them) and reads the same in
JupyterLab, in an untrusted notebook, on a code host and through a screen reader.
"""

from llmops_kernel.display.answer import answer_view
from llmops_kernel.display.budget import budget_view
from llmops_kernel.display.cache import cache_audit_view, cache_explain_view, cache_stats_view
from llmops_kernel.display.history import history_view
from llmops_kernel.display.markdown import safe_markdown
from llmops_kernel.display.mime import View, jsonable
from llmops_kernel.display.money import count, dollars, nano_dollars, percent, seconds, tokens
from llmops_kernel.display.rag import (
    index_list_view,
    index_stats_view,
    ingest_view,
    search_view,
)
from llmops_kernel.display.status import checks_view, status_view
from llmops_kernel.display.table import Cell, table
from llmops_kernel.display.text import one_line, printable, shorten
from llmops_kernel.display.trace import trace_view

__all__ = [
    "Cell",
    "View",
    "answer_view",
    "budget_view",
    "cache_audit_view",
    "cache_explain_view",
    "cache_stats_view",
    "checks_view",
    "count",
    "dollars",
    "history_view",
    "index_list_view",
    "index_stats_view",
    "ingest_view",
    "jsonable",
    "nano_dollars",
    "one_line",
    "percent",
    "printable",
    "safe_markdown",
    "search_view",
    "seconds",
    "shorten",
    "status_view",
    "table",
    "tokens",
    "trace_view",
]
