"""A library that is imported while the recorder is armed is seen from then on; none is imported for the recorder."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

LIBRARIES = {
    "requests": "requests.adapters.HTTPAdapter.send",
    "responses": "requests.adapters.HTTPAdapter.send",
    "httpx": "httpx.HTTPTransport.handle_request",
    "httpx2": "httpx2.HTTPTransport.handle_request",
    "aiohttp": "aiohttp.BaseConnector.connect",
    "botocore": "botocore.httpsession.URLLib3Session.send",
}


def run(script: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_arming_imports_no_library():
    said = run(
        f"""
        import sys
        from django_llmcache.testing import interceptors

        with interceptors.armed():
            print(sorted(set({list(LIBRARIES)}) & set(sys.modules)))
        """
    )

    assert said == "[]"


@pytest.mark.parametrize("library", LIBRARIES)
def test_one_that_is_imported_inside_is_replaced_and_put_back(library):
    pytest.importorskip(library)
    name = LIBRARIES[library]
    said = run(
        f"""
        import importlib, sys
        from operator import attrgetter
        from django_llmcache.testing import interceptors

        def now():
            import {name.rpartition(".")[0].rpartition(".")[0]}
            root, _, rest = {name!r}.partition(".")
            return attrgetter(rest)(sys.modules[root]).__code__.co_filename

        with interceptors.armed():
            import {library}
            inside = "llmcache" in now()
        after = "llmcache" in now()
        with interceptors.armed():
            again = "llmcache" in now()
        print(inside, after, again)
        """
    )

    assert said == "True False True"


def test_a_second_one_is_replaced_beside_the_first():
    said = run(
        """
        from django_llmcache.testing import interceptors

        with interceptors.armed():
            import httpx2
            import httpx
            print([library.HTTPTransport.handle_request.__code__.co_filename[-13:] for library in (httpx2, httpx)])
        """
    )

    assert said == "['over_httpx.py', 'over_httpx.py']"


def test_one_that_fails_to_import_fails_as_ever_and_may_come_later(tmp_path):
    (tmp_path / "aiohttp.py").write_text("raise ImportError('not today')")
    said = run(
        f"""
        import sys
        from django_llmcache.testing import interceptors

        sys.path.insert(0, {str(tmp_path)!r})
        with interceptors.armed():
            try:
                import aiohttp
            except ImportError as error:
                print(error)
            del sys.path[0]
            sys.path_importer_cache.clear()
            import aiohttp
            print("llmcache" in aiohttp.BaseConnector.connect.__code__.co_filename)
        """
    )

    assert said.splitlines() == ["not today", "True"]


def test_one_that_arrives_in_a_thread_stops_nobody_who_looks_for_others_meanwhile():
    said = run(
        """
        import faulthandler, sys, threading, time
        import httpx2
        from django_llmcache import arrivals
        from django_llmcache.testing import interceptors

        faulthandler.dump_traceback_later(60, exit=True)
        with interceptors.armed():
            with interceptors._lock:  # as whoever has it for whom another library has just arrived
                other = threading.Thread(target=__import__, args=("httpx",))
                other.start()
                while not (hasattr(sys.modules.get("httpx"), "Client") and arrivals.is_here("httpx")):
                    time.sleep(0.001)
                interceptors._install()
            other.join()
            print(sys.modules["httpx"].HTTPTransport.handle_request.__code__.co_filename[-13:])
        """
    )

    assert said == "over_httpx.py"


def test_nothing_is_left_behind():
    said = run(
        """
        import sys
        from django_llmcache.testing import interceptors

        before = list(sys.meta_path)
        with interceptors.armed(), interceptors.armed():
            import json.tool
        print(sys.meta_path == before)
        """
    )

    assert said == "True"
