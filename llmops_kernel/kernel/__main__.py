"""Entry point of the kernelspec: ``python -m llmops_kernel.kernel -f CONNECTION_FILE``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # `-m` puts the notebook's folder first, where a random.py of the user's would shadow Python's
    # own while the kernel is still starting; IPython adds the folder again for the user's code.
    if sys.path and Path(sys.path[0]).resolve() == Path.cwd():
        del sys.path[0]

    from llmops_kernel.kernel.app import LLMOpsKernelApp

    LLMOpsKernelApp.launch_instance()
