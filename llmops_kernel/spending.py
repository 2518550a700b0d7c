"""What a session says of money: its caps, stops, history and alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_kernel.budget import CapStatus, LedgerEvent, Scopes, control
from llmops_kernel.budget.refusals import EVERYBODY

if TYPE_CHECKING:
    from decimal import Decimal

    from llmops_kernel.budget import Ledger, LoopBreaker
    from llmops_kernel.housekeeping import Housekeeping
    from llmops_kernel.settings import Scope, Settings, Window


class Spending:
    """The part of a session that asks the ledger and changes it."""

    settings: Settings
    ledger: Ledger
    breaker: LoopBreaker
    _housekeeping: Housekeeping

    @property
    def scopes(self) -> Scopes:
        """The values that caps are matched against, apart from the model."""
        s = self.settings
        return Scopes(s.user, s.project, s.notebook, s.run_id, s.tenant)

    def budget(self) -> list[CapStatus]:
        """Return the state of every cap, one entry per cap and book."""
        return control.statuses(self.ledger, self.scopes)

    def set_cap(
        self, usd: Decimal, *, scope: Scope = "user", window: Window = "day"
    ) -> list[CapStatus]:
        """Set a cap's limit for good, in the ledger; every kernel sees it at its next call."""
        control.set_limit(self.ledger, self.scopes, usd, scope, window)
        return self.budget()

    def raise_cap(
        self, usd: Decimal, *, scope: Scope = "user", window: Window = "day"
    ) -> list[CapStatus]:
        """Allow ``usd`` more in the current window only."""
        control.raise_limit(self.ledger, self.scopes, usd, scope, window)
        return self.budget()

    def stop_spending(self, reason: str = "") -> None:
        """Refuse every call of this user, in all kernels, from the next one on."""
        control.stop(self.ledger, "user", self.settings.user, reason, self.settings.user)

    def resume_spending(self) -> bool:
        """Allow calls again, and let the loop breaker start counting anew."""
        tripped = self.breaker.tripped is not None
        self.breaker.reset()
        user = self.settings.user
        lifted = control.resume(self.ledger, "user", user, user)
        return control.resume(self.ledger, EVERYBODY, "", user) or lifted or tripped

    def stopped(self) -> str | None:
        """Return why calls are refused ("" without a reason); None when they are not."""
        return control.stopped(self.ledger, self.scopes)

    def history(self, limit: int = 20) -> list[LedgerEvent]:
        """Return the newest events of the ledger, newest first."""
        return control.history(self.ledger, limit, None)

    def alerts(self) -> list[str]:
        """Return the alerts nobody has been shown yet; each is returned once."""
        return self._housekeeping.unshown_alerts()
