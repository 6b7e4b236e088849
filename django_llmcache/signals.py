"""The signals of the response cache. Receivers get no prompt and no answer, and cannot break a call.

Every signal is sent with ``send_robust``; the sender is the strategy's class.
"""

from __future__ import annotations

from django.dispatch import Signal

#: An answer came from the cache. Provides: ``key``, ``provider``, ``model``, ``age`` (seconds), ``usage``.
cache_hit = Signal()

#: No stored answer was used. Provides: ``key`` (or ``None``), ``provider``, ``model``, ``reason`` (or ``None``).
cache_miss = Signal()

#: An answer was stored. Provides: ``key``, ``provider``, ``model``, ``size`` (bytes), ``ttl`` (seconds or ``None``).
cache_put = Signal()

#: An entry was removed. Provides: ``key``, ``provider``, ``model``,
#: ``reason`` (``expired``, ``capacity``, ``deleted``, ``cleared``).
cache_evict = Signal()

#: The cache failed and the call went on. Provides: ``key`` (or ``None``), ``operation``, ``error``.
cache_error = Signal()
