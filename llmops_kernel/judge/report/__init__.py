"""Reports of a run: plain data, handed on as JSON, as JUnit XML or as one HTML page."""

from llmops_kernel.judge.report.changes import Change, changes_of
from llmops_kernel.judge.report.junit import to_junit
from llmops_kernel.judge.report.model import (
    Calibration,
    MetricReport,
    Report,
    WorstSample,
    build_report,
)
from llmops_kernel.judge.report.page import to_html
from llmops_kernel.judge.report.plain import to_json

__all__ = [
    "Calibration",
    "Change",
    "MetricReport",
    "Report",
    "WorstSample",
    "build_report",
    "changes_of",
    "to_html",
    "to_json",
    "to_junit",
]
