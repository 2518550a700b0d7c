"""A session's endpoint as the door of another library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.judge.peers.run import Metered

if TYPE_CHECKING:
    from llmops_kernel.session import Session


def metered(session: Session) -> Metered:
    """Return a session's endpoint; what else the session calls meanwhile is counted along.

    The session should be one of its own, with ``cache={"near": False}``: near-duplicate answers
    must get verdicts of their own.
    """
    info = session.endpoint()
    before = session.cell_cost()

    def spent() -> tuple[int, int, bool]:
        now = session.cell_cost()
        simulated = now.simulated_nano - before.simulated_nano
        real = now.real_nano - before.real_nano
        calls = now.calls - before.calls
        # The two books are never added: a real dollar is told before a simulated one.
        return calls, real or simulated, bool(simulated) and not real

    return Metered(info.base_url, info.token, spent)
