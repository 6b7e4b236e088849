"""One process of a crowd: threads that all ask the same at once. ``python -m tests.backends.crowd``.

It reads its settings as JSON from one line of standard input, says ``ready``, waits for another line, and writes what
came: how many answers there were, what they said, and what failed.
"""

from __future__ import annotations

import json
import os
import sys
import threading

THREADS = 50


def main():
    told = json.loads(sys.stdin.readline())
    os.environ["OPENAI_API_KEY"] = "made-up"
    import django
    from django.conf import settings

    settings.configure(SECRET_KEY="made-up", INSTALLED_APPS=["django_llmcache"], USE_TZ=True, **told["settings"])
    django.setup()
    from django_llmcache import chat

    gate = threading.Barrier(THREADS + 1)
    texts, failed = [], []

    def work():
        gate.wait()
        try:
            texts.append(chat("openai", [{"role": "user", "content": told["prompt"]}], model="m").text)
        except Exception as error:
            failed.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    say("ready")
    sys.stdin.readline()
    gate.wait()
    for thread in threads:
        thread.join()
    said = {
        "answers": len(texts),
        "texts": sorted(set(texts)),
        "failed": failed,
    }
    say(json.dumps(said))


def say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
