"""A module that fails as it is imported, but not with an ImportError."""

from __future__ import annotations

raise RuntimeError("It needs a service that is not there.")
