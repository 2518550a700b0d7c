"""What people say of answers: a blind queue, a file that loses nothing, and labels on samples.

A rater sees question, passages and answer, never a score or the name of a system. Each answer goes
to an append-only file at once; `labelled` brings the file's labels to the samples they are of.
"""

from llmops_kernel.judge.labelling.desk import Desk, label
from llmops_kernel.judge.labelling.items import Choice, Item, choices_of
from llmops_kernel.judge.labelling.merge import Labelled, labelled
from llmops_kernel.judge.labelling.pairs import paired
from llmops_kernel.judge.labelling.queue import Queue, make_queue
from llmops_kernel.judge.labelling.sheet import LabelSheet, Record

__all__ = [
    "Choice",
    "Desk",
    "Item",
    "LabelSheet",
    "Labelled",
    "Queue",
    "Record",
    "choices_of",
    "label",
    "labelled",
    "make_queue",
    "paired",
]
