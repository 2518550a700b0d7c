"""One typed Settings, read from four places.

Later ones win: the defaults below, ``llmops.toml`` (``LLMOPS_CONFIG``, or the nearest one upwards
of the working folder), ``LLMOPS_*`` variables, then arguments and ``%config``. Every value is
checked, unknown names are refused with the nearest match, and no secret lives here: keys come from
the environment or the system's key store, by the *name* a provider's ``key_env`` gives.
"""

from llmops_kernel.settings.cache import CacheSettings
from llmops_kernel.settings.providers import PriceSettings, ProviderSettings
from llmops_kernel.settings.routes import RouteSettings, RuleSettings
from llmops_kernel.settings.settings import Settings
from llmops_kernel.settings.sources import HIDDEN, data_home
from llmops_kernel.settings.spending import Book, BreakerSettings, Cap, Scope, Window

__all__ = [
    "HIDDEN",
    "Book",
    "BreakerSettings",
    "CacheSettings",
    "Cap",
    "PriceSettings",
    "ProviderSettings",
    "RouteSettings",
    "RuleSettings",
    "Scope",
    "Settings",
    "Window",
    "data_home",
]
