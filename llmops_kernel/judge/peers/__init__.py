"""Metrics of other evaluation libraries, run as they are, metered by our door.

Each library runs in a side environment of its own (``llmops env create ragas``), reads samples from
a file, calls its judge through our HTTP endpoint and writes a score a line. So its calls are capped
before they spend, cached exactly, and traced; and its scores come back as `Score`s under its own
name (``ragas:faithfulness``), never mixed with ours. `run.run_library` is the way in.

Nothing is imported here: `workers` runs in the side environments, which have little of ours.
"""
