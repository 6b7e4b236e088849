"""``python -m benchmarks soak``: four gunicorn workers on Redis, mixed hits, misses and clears, and a server restart.

Every answer carries a digest of its question, and each one is checked. The provider answers from loopback; the load is
bounded by ``--seconds``, and everything that was started is ended.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from tests import stores

WORKERS, THREADS, CLIENTS = 4, 4, 8
QUESTIONS = 3000
MOST_GROWTH = 1.3  # of the workers' memory, from a quarter of the time on to its end
TIERED = "django_llmcache.backends.tiered.TieredBackend"


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300, help="how long (300)")
    parser.add_argument("--backend", default=TIERED, help="dotted path of the backend (TieredBackend)")
    options = parser.parse_args(argv)
    redis = stores.redis().start()
    provider = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            return soak(redis, provider.server_port, options, Path(folder))
    finally:
        provider.shutdown()
        provider.server_close()
        redis.stop()


class Provider(BaseHTTPRequestHandler):
    """Answers with the digest of what it is asked, in the shape of OpenAI's API."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = {"message": {"content": digest(body["messages"][-1]["content"])}, "finish_reason": "stop"}
        written = json.dumps({"choices": [told], "usage": {"prompt_tokens": 3, "completion_tokens": 9}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def log_message(self, *args):
        pass


def digest(question):
    """Return the right answer to a question, with some weight."""
    return hashlib.sha256(question.encode()).hexdigest() * 16


def soak(redis, provider, options, folder):
    port, log = stores.free_port(), folder / "log"
    command = [
        sys.executable, "-m", "gunicorn", "benchmarks.soak_site:application", "-b", f"127.0.0.1:{port}",
        "-w", str(WORKERS), "-k", "gthread", "--threads", str(THREADS), "--error-logfile", str(log),
    ]  # fmt: skip
    alias = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"redis://127.0.0.1:{redis.port}/0"}
    alias["OPTIONS"] = {"serializer": "django_llmcache.backends.serializers.RawSerializer"}
    near = {"MAX_ENTRIES": 500} if options.backend == TIERED else {}
    words = {
        "INSTALLED_APPS": ["django_llmcache"],
        "CACHES": {"default": alias},
        "LLMCACHE": {
            "BACKEND": options.backend,
            "OPTIONS": {"ALIAS": "default", **near},
            "PROVIDERS": {"openai": {"BASE_URL": f"http://127.0.0.1:{provider}/v1", "API_KEY": "made-up"}},
            "RUN_DIR": str(folder / "run"),
        },
    }
    env = {**os.environ, "SOAK": json.dumps(words), "NO_PROXY": "*"}
    with log.open("a") as output:
        site = subprocess.Popen(command, env=env, stdout=output, stderr=output)
    try:
        while not stores.listens(port):
            assert site.poll() is None, log.read_text()
            time.sleep(0.1)
        load = Load(f"http://127.0.0.1:{port}", options.seconds)
        memory = load.run(site.pid, redis)
        counted = settled(f"http://127.0.0.1:{port}/stats", load.asked)
    finally:
        site.terminate()
        site.wait(30)
    return 0 if judge(load, memory, counted, log.read_text()) else 1


class Load:
    """Clients that ask and clear until the time is over."""

    def __init__(self, url, seconds):
        self._url = url
        self._until = time.monotonic() + seconds
        self._seconds = seconds
        self._lock = threading.Lock()
        self.seen = Counter()
        self.problems = []

    def run(self, site, redis):
        """Run all clients, and restart the store meanwhile; return the workers' memory, in bytes, as time goes by."""
        clients = [threading.Thread(target=self._client, args=(seed,)) for seed in range(CLIENTS)]
        for client in clients:
            client.start()
        memory, killed = [], False
        begun = time.monotonic()
        while any(client.is_alive() for client in clients):
            time.sleep(self._seconds / 60)
            memory.append(memory_of(site))
            if not killed and time.monotonic() - begun > self._seconds * 0.4:
                killed = True
                redis.kill()
                time.sleep(min(5, self._seconds / 20))
                redis.start()
        for client in clients:
            client.join()
        return memory

    @property
    def asked(self):
        """Return how many answers there were."""
        return sum(number for name, number in self.seen.items() if "clears" not in name)

    def _client(self, seed):
        chance, session, seen, problems = random.Random(seed), requests.Session(), Counter(), []
        session.headers["Connection"] = "close"  # so that every worker gets its share
        while time.monotonic() < self._until:
            number = min(int(chance.paretovariate(0.4)), QUESTIONS)  # few are asked often, many now and then
            name = "clear" if chance.random() < 0.02 else "ask"
            try:
                came = session.get(f"{self._url}/{name}", params={"number": number}, timeout=30)
                told = came.json() if came.status_code == 200 else {"error": came.status_code}
            except Exception as error:
                told = {"error": repr(error)}
            if "error" in told:
                problems.append(told["error"])
            elif name == "clear":
                seen["failed clears" if told else "clears"] += 1
            else:
                seen[told["status"]] += 1
                if told["text"] != digest(f"Question {number}"):
                    problems.append(f"a wrong answer to question {number}")
        with self._lock:
            self.seen += seen
            self.problems += problems


def settled(url, asked):
    """Return the site's statistics, once every worker has handed in its last second."""
    deadline = time.monotonic() + 10
    while True:
        counted = requests.get(url, timeout=10).json()
        if counted["hits"] + counted["misses"] == asked or time.monotonic() > deadline:
            return counted
        time.sleep(0.5)


def memory_of(pid):
    """Return the resident bytes of a process' children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = 0
    for child in children:
        try:
            pages += int(Path(f"/proc/{child}/statm").read_text().split()[1])
        except FileNotFoundError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


def judge(load, memory, counted, log):
    """Print what was seen; return whether all went well."""
    asked = load.asked
    before, after = memory[len(memory) // 4], memory[-1]
    print(f"{asked:,} answers: {dict(load.seen)}")
    print("the site's statistics: {hits:,} hits, {misses:,} misses, {processes} processes".format_map(counted))
    checks = {
        f"{len(load.problems)} wrong or failed answers {load.problems[:3]}": not load.problems,
        f"memory of {WORKERS} workers {before / 2**20:.0f} -> {after / 2**20:.0f} MiB": after < before * MOST_GROWTH,
        f"{log.count('Traceback')} exceptions in the log": "Traceback" not in log,
        f"{counted['hits'] + counted['misses']:,} look-ups counted of {asked:,}": counted["hits"] + counted["misses"]
        == asked,
        "hits, misses and clears there were": min(load.seen["hit"], load.seen["miss"], load.seen["clears"]) > 0,
    }
    for what, met in checks.items():
        print(f"  {'met' if met else 'MISSED':8}{what}")
    return all(checks.values())
