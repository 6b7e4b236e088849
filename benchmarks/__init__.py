"""Benchmarks: ``python -m benchmarks hit`` and ``python -m benchmarks store``."""
