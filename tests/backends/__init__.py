"""Tests of the backends, with the contract that each of them has to pass."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.backends.contract")
