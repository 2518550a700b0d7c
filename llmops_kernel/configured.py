"""Settings chosen while the process runs (``%config``), over file and environment.

A module of its own, so that the extension can note a choice without loading what checks it.
"""

from __future__ import annotations

from typing import Any

configured: dict[str, Any] = {}
