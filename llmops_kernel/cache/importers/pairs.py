"""What another cache served, as pairs for a person or a judge to decide about.

Nothing is served because of it: the labels are empty, and `llmops cache evaluate` leaves out rows
without one.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from llmops_kernel.errors import UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    from llmops_kernel.cache.importers.gptcache import Contents

COLUMNS = ("a", "b", "label", "why", "similarity")


def write_pairs(path: Path, contents: Contents) -> int:
    """Write pairs to a CSV file as `llmops cache evaluate` reads it, once they are labelled.

    Hits that were reported come first, then neighbours among questions with the very same answer.

    Returns:
        How many were written.

    Raises:
        UsageProblem: The file exists, or cannot be written.
    """
    found = [
        (one.stored, one.asked, "", "served", f"{one.similarity:.4f}")
        for one in contents.served
        if one.stored != one.asked
    ]
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for row in contents.rows:
        groups[row.answer].append(row.question)
    found += [
        (one, other, "", "same answer", "")
        for questions in groups.values()
        for one, other in pairwise(questions)
    ]
    rows = list(dict.fromkeys(found))
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(rows)
    except FileExistsError:
        raise UsageProblem(
            "The file of pairs exists", detail=str(path), hint="Its labels would be lost"
        ) from None
    except OSError as error:
        raise UsageProblem(
            "The file of pairs cannot be written", detail=f"{path}: {error.strerror}"
        ) from None
    return len(rows)
