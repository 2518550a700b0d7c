"""What all settings are: frozen once they are read, and strict about names."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Settings that cannot be changed in place, and that refuse names they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
