"""Entry point of ``python -m llmops_kernel.cli``."""

import sys

from llmops_kernel.cli import main

if __name__ == "__main__":
    sys.exit(main())
