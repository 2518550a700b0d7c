"""The ``llmops`` kernel: Python, with every model call of the process behind the door.

Before any code of the notebook runs, the session and its endpoint are up, the providers' keys are
out of the environment, and the variables that OpenAI-compatible libraries read point at the
endpoint. A notebook that knows nothing of this package is metered and capped. If that cannot be
arranged, the kernel starts all the same, and no model call can leave it.

`install` puts the kernelspec where Jupyter looks. This module imports nothing: it runs while the
notebook's folder is still the first place where Python looks for modules.
"""
