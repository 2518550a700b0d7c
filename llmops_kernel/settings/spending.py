"""Bounds on spending: caps on money, and the limits of the loop breaker."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from llmops_kernel.settings.base import Frozen

Scope = Literal["user", "project", "notebook", "run", "model", "tenant"]
Window = Literal["hour", "day", "month", "total"]
Book = Literal["real", "simulated"]


class Cap(Frozen):
    """An upper bound on what may be spent in one scope and window.

    The same number bounds real and simulated dollars, each in a book of its own.

    Attributes:
        scope: Whose spending is added up.
        window: The calendar window; a new one starts from zero. ``total`` never ends.
        usd: The bound in US dollars (0 forbids all spending; free models still pass).
        key: One value of the scope (a model's name, a user); None gives every value its own cap.
        alert: Percentages of the bound at which somebody is told, once per window.
        notify: Where alerts go: ``https://...`` (JSON), ``mailto:...`` or an Apprise URL.
    """

    scope: Scope
    window: Window
    usd: Annotated[Decimal, Field(ge=0, max_digits=15)]
    key: str | None = None
    alert: tuple[Annotated[int, Field(gt=0, le=100)], ...] = (50, 80, 95, 100)
    notify: tuple[str, ...] = ()

    @field_validator("usd", mode="before")
    @classmethod
    def _exact(cls, value: Any) -> Any:
        # 0.05 means five cents, not the nearest binary fraction.
        return str(value) if isinstance(value, float) else value


class BreakerSettings(Frozen):
    """Limits of the loop breaker; 0 switches a limit off.

    Attributes:
        calls_per_cell: Model calls one execution of a cell may make.
        calls_per_run: Model calls one run (a kernel's life, or a papermill run) may make.
        depth: How deep calls may nest (an agent that calls an agent).
        identical: Identical requests one execution of a cell may make.
        cycles: How often a tool loop may repeat the same cycle of 1 to 4 rounds.
        turns: Rounds one growing conversation may take within a cell.
        growth_tokens: Input tokens one growing conversation may add up to within a cell.
        usd_per_minute: Speed of spending, per book.
    """

    calls_per_cell: Annotated[int, Field(ge=0)] = 1_000
    calls_per_run: Annotated[int, Field(ge=0)] = 10_000
    depth: Annotated[int, Field(ge=0)] = 8
    identical: Annotated[int, Field(ge=0)] = 100
    cycles: Annotated[int, Field(ge=0)] = 3
    turns: Annotated[int, Field(ge=0)] = 60
    growth_tokens: Annotated[int, Field(ge=0)] = 2_000_000
    usd_per_minute: Annotated[Decimal, Field(ge=0)] = Decimal(5)
