"""What an error of a store says, for a log or for people."""

from __future__ import annotations

from django_llmcache.credentials import of_a_library, shown


def words_of(error: BaseException) -> str:
    """Return the class of an error and the first line that it says, where that can't be a part of a password.

    Libraries and the operating system speak of hosts, tables and rights. Python's own errors may quote whatever could
    not be read, a piece of an address among it.
    """
    kind = type(error).__name__
    if type(error).__module__ == "builtins" and not isinstance(error, ImportError | OSError):
        return kind
    try:
        said = shown(of_a_library(str(error).partition("\n")[0])).strip().rstrip(".")
    except Exception:  # of an error that can't even say what it is
        return kind
    return f"{kind}: {said}" if said else kind
