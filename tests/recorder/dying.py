"""A process that is killed while it changes the files of a fixture folder."""

from __future__ import annotations

from pathlib import Path

from django_llmcache.recorder import files


def dying_at(step, monkeypatch) -> None:
    """Let the process be killed at the n-th file that it would write, rename or remove."""
    count = iter(range(1000))

    def dying(real):
        def call(*args, **kwargs):
            if next(count) == step:
                raise KeyboardInterrupt
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr(files, "_write_new", dying(files._write_new))
    monkeypatch.setattr(Path, "replace", dying(Path.replace))
    monkeypatch.setattr(Path, "unlink", dying(Path.unlink))
