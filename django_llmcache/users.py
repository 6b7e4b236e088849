"""Who runs this process: known everywhere, in a container whose user has no name as on Windows, which has no ids."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable

get_uid: Callable[[], int] | None = getattr(os, "geteuid", None)  # Windows has none


def user_token() -> str:
    """Return what tells this user from others in the name of a file."""
    if get_uid is not None:
        return str(get_uid())
    try:
        return re.sub(r"\W", "_", getpass.getuser())
    except (OSError, KeyError, ImportError):  # no variable names the user, and there is no pwd to ask
        return "user"


def user_name(uid: int) -> str:
    """Return the name of a user, or the number when it has none."""
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)


def me() -> str:
    """Return what this user is called."""
    return user_token() if get_uid is None else user_name(get_uid())


def is_mine(found: os.stat_result) -> bool:
    """Return whether a file belongs to the user that this process runs as, as far as the system can tell."""
    return get_uid is None or found.st_uid == get_uid()
