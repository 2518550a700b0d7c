"""``%llmops``: the state of the session and its surroundings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import line_magic, magics_class, no_var_expand

from llmops_kernel.magics._base import SessionMagics, parse
from llmops_kernel.magics._flags import OUT, QUIET, parsed, subcommand

if TYPE_CHECKING:
    from llmops_kernel.magics.results import Doctor, Page

# What differs between two runs of a notebook, or between two machines.
_OF_THIS_RUN = ("endpoint", "notebook", "project", "run", "store", "user", "warnings")


@magics_class
class LLMOpsMagics(SessionMagics):
    """``%llmops``."""

    @no_var_expand
    @line_magic
    @parsed
    @subcommand("status", OUT, QUIET, help="show model, store, endpoint and stops (the default)")
    @subcommand("doctor", OUT, QUIET, help="check store, ledger, prices, endpoint and extras")
    @subcommand("version", OUT, QUIET, help="show the versions of this package and its ground")
    @subcommand("endpoint", OUT, QUIET, help="start the HTTP endpoint and show its address")
    def llmops(self, line: str) -> Page | Doctor | None:
        """Show how model calls of this kernel are made, and whether all is well.

        Examples: ``%llmops``, ``%llmops doctor``, ``%llmops endpoint -o door``.
        """
        args = parse(LLMOpsMagics.llmops, line)
        if args is None:
            return None
        result = getattr(self, f"_{args.verb}")()
        shown: Page | Doctor | None = self.finish(args, result)
        return shown

    def _status(self) -> Page:
        from llmops_kernel.magics.results import Page

        session = self._source.get()
        facts = session.status()
        if session.settings.static:
            facts = {name: facts[name] for name in facts if name not in _OF_THIS_RUN}
        return Page(facts, "llmops")

    def _doctor(self) -> Doctor:
        from llmops_kernel.doctor import run_checks
        from llmops_kernel.magics.results import Doctor

        # Without a session it makes one for itself, and tells what is wrong if it cannot.
        return Doctor(tuple(run_checks(self._source.active())))

    def _endpoint(self) -> Page:
        from llmops_kernel.magics.results import Page

        session = self._source.get()
        endpoint = session.endpoint()
        # The token opens the door to everybody who reads the saved notebook; code gets it from
        # `session.endpoint().env()`.
        facts: dict[str, Any] = {
            "base_url": endpoint.base_url,
            "variables": sorted(endpoint.env()),
            "in Python": "os.environ.update(current_session().endpoint().env())",
        }
        if session.settings.static:
            facts["base_url"] = "running"  # the port differs on each start
        return Page(facts, "llmops endpoint")

    def _version(self) -> Page:
        from platform import python_version

        import IPython

        from llmops_kernel._version import __version__
        from llmops_kernel.magics.results import Page

        facts = {
            "llmops_kernel": __version__,
            "python": python_version(),
            "ipython": IPython.__version__,
        }
        return Page(facts, "llmops version")
