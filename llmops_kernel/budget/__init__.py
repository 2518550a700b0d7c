"""Money: caps, the ledger that reserves before and settles after, the loop breaker, alerts.

Everything is integer nano-dollars. `ledger` keeps the balances, `stage` puts it into the path of
a call, `reaper` closes what dead processes left, `control` is what people change while programs
run, `audit` proves that balances and events agree.
"""

from llmops_kernel.budget.audit import Mismatch, audit
from llmops_kernel.budget.breaker import BreakerStage, LoopBreaker
from llmops_kernel.budget.caps import ActiveCap, Scopes
from llmops_kernel.budget.ledger import Charge, Hold, Ledger
from llmops_kernel.budget.reaper import reap
from llmops_kernel.budget.stage import BudgetStage, OutputLimits
from llmops_kernel.budget.status import NANO, CapStatus, LedgerEvent, nano, usd

__all__ = [
    "NANO",
    "ActiveCap",
    "BreakerStage",
    "BudgetStage",
    "CapStatus",
    "Charge",
    "Hold",
    "Ledger",
    "LedgerEvent",
    "LoopBreaker",
    "Mismatch",
    "OutputLimits",
    "Scopes",
    "audit",
    "nano",
    "reap",
    "usd",
]
