"""Run one benchmark: ``python -m benchmarks NAME [its options]``."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

BENCHMARKS = {
    "hit": "a whole hit through chat() beside other caches",
    "sdk": "a hit through the OpenAI SDK on a cached client beside other caches",
    "stampede": "a thousand who ask the same at once, and how often the provider is asked",
    "shared": "a hit on Redis and Memcached beside other caches on the same servers",
    "soak": "four gunicorn workers on Redis for five minutes, with clears and a restart of the store",
    "store": "the in-process store beside other stores",
    "replay": "replayed calls and a replayed suite beside other recorders",
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{name:10}{what}" for name, what in BENCHMARKS.items()),
    )
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="of the benchmark; --help lists them")
    wanted = parser.parse_args()
    return import_module(f"benchmarks.{wanted.benchmark}").main(wanted.options)


if __name__ == "__main__":
    sys.exit(main())
