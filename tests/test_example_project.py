from __future__ import annotations

import asyncio
import html
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from time import monotonic
from types import SimpleNamespace

import environ
import pytest
import requests
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncClient, Client

from django_llmcache.contrib.demo.standin import HangUp, Reply
from example_project import standin

ROOT = Path(__file__).parent.parent
KEY = "sk-example-0123456789abcdef"
SYNC, ASYNC = "/", "/async/"
USED = ("INSTALLED_APPS", "LLMCACHE", "MIDDLEWARE", "ROOT_URLCONF", "STANDIN_LATENCY", "STATIC_URL", "TEMPLATES")
both_views = pytest.mark.parametrize("url", [SYNC, ASYNC], ids=["sync", "async"])


class Variables(dict):
    """An environment that notes what is asked of it."""

    def __init__(self, values):
        super().__init__(values)
        self.asked = set()

    def __getitem__(self, name):
        self.asked.add(name)
        return super().__getitem__(name)

    def __contains__(self, name):
        self.asked.add(name)
        return super().__contains__(name)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Return a function that runs a copy of the example's settings, with an environment and a .env of its own."""

    def run(*, dotenv="", **variables):
        folder = tmp_path / "example_project"
        folder.mkdir(exist_ok=True)
        shutil.copy(ROOT / "example_project" / "settings.py", folder)
        (folder / ".env").write_text(dotenv, encoding="utf-8")
        monkeypatch.setattr(environ.Env, "ENVIRON", Variables(variables))
        return SimpleNamespace(**runpy.run_path(str(folder / "settings.py")))

    return run


@pytest.fixture
def project(load, settings):
    """Put the example's settings in force, as they are without a key; the stand-in answers at once."""
    example = load(STANDIN_LATENCY="0")
    for name in USED:
        setattr(settings, name, getattr(example, name))
    yield settings
    standin.STANDIN.stop()
    standin.STANDIN.reset()


@pytest.fixture
def with_key(project, provider):
    """Give OpenAI a key, and let the fixture ``provider`` be OpenAI."""
    words = project.LLMCACHE["PROVIDERS"]
    ours = words["openai"] | {"API_KEY": KEY, "BASE_URL": f"{provider.url}/v1"}
    project.LLMCACHE = project.LLMCACHE | {"PROVIDERS": words | {"openai": ours}}
    return project


def get(url, data=None):
    return async_to_sync(AsyncClient().get)(url, data) if url == ASYNC else Client().get(url, data)


def ask(url, question, provider="openai", **more):
    data = {"question": question, "provider": provider, **more}
    return async_to_sync(AsyncClient().post)(url, data) if url == ASYNC else Client().post(url, data)


def text(response):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def badge(response):
    return re.search(r'class="badge">([^<]*)<', response.content.decode())[1]


def completion(content, **usage):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    return Reply(body=json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode())


@both_views
def test_the_page_shows_a_form_without_a_database_or_a_call(with_key, provider, url):
    response = get(url)

    assert (response.status_code, provider.calls) == (200, 0)
    assert "<textarea" in response.content.decode()


@both_views
def test_a_get_fills_the_form_in_and_never_makes_a_call(with_key, provider, url):
    response = get(url, {"question": "Is this <billed>?", "provider": "openai"})

    assert provider.calls == 0
    assert "Is this &lt;billed&gt;?</textarea>" in response.content.decode()
    assert '<option value="openai" selected>' in response.content.decode()


@both_views
def test_the_first_answer_is_live(with_key, provider, url):
    response = ask(url, "Test")

    assert re.fullmatch(r"live, [\d.]+ ms", badge(response))
    assert "Hello! How can I assist you today?" in text(response)
    assert "Tokens 8 in, 9 out" in text(response)
    assert "stored, kept for 15 min" in text(response)


@both_views
def test_the_second_answer_is_the_same_from_the_cache(with_key, provider, url):
    ask(url, "Test")

    response = ask(url, "Test")

    assert re.fullmatch(r"from cache, [\d.]+ ms, 17 tokens saved", badge(response))
    assert "Hello! How can I assist you today?" in text(response)
    assert re.search(r"stored \d+ s ago, kept for 15 min", text(response))
    assert provider.calls == 1


def test_both_views_share_their_answers(with_key, provider):
    ask(SYNC, "Test")

    assert badge(ask(ASYNC, "Test")).startswith("from cache")


@both_views
def test_asking_anew_passes_over_the_cache(with_key, provider, url):
    ask(url, "Test")

    assert badge(ask(url, "Test", refresh="on")).startswith("live")


@both_views
def test_an_answer_that_was_not_stored_says_why(with_key, provider, url):
    response = ask(url, "Generate a random number between 1 and 10")

    assert "not stored: it was cut short" in text(response)


@both_views
@pytest.mark.parametrize("question", ["", "  \n "])
def test_an_empty_question_is_refused_with_a_message(with_key, provider, url, question):
    response = ask(url, question)

    assert "Type a question first." in text(response)
    assert provider.calls == 0


def test_an_unknown_provider_is_refused_with_a_message(with_key, provider):
    assert "not one of the available choices" in text(ask(SYNC, "Test", provider="nobody"))


@both_views
@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Reply(401, b'{"error": {"message": "bad key"}}'), "The provider refused the API key."),
        (Reply(404, b'{"error": {"message": "no such model"}}'), "The provider refused the request."),
        (Reply(429, b'{"error": {"message": "slow down"}}'), "The provider asks for patience."),
        (Reply(503, b"oops"), "The provider has trouble of its own."),
        (Reply(200, b"<html>"), "The provider answered with something that is no chat answer."),
        (HangUp(), "The connection to the provider failed or broke."),
    ],
    ids=["401", "404", "429", "503", "html", "hang-up"],
)
def test_a_failure_of_the_provider_is_shown_and_not_stored(with_key, provider, url, step, message):
    provider.script(step)

    failed = ask(url, "Test")

    assert (failed.status_code, badge(failed)) == (502, "not stored")
    assert message in text(failed)
    assert badge(ask(url, "Test")).startswith("live")


@pytest.mark.parametrize(("debug", "shown"), [(True, True), (False, False)])
def test_the_providers_own_words_are_for_developers(with_key, provider, debug, shown):
    with_key.DEBUG = debug
    provider.script(Reply(404, b'{"error": {"message": "The model m does not exist"}}'))

    assert ("The model m does not exist" in text(ask(SYNC, "Test"))) is shown


def test_the_key_is_in_no_page(with_key, provider):
    with_key.DEBUG = True
    echo = Reply(401, json.dumps({"error": {"message": f"Incorrect API key: {KEY}"}}).encode())
    answered = ask(SYNC, "Test")
    provider.script(echo)

    pages = [get(SYNC), answered, ask(SYNC, "Test"), ask(SYNC, "Who am I?")]

    assert provider.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"
    assert not [page for page in pages if KEY in page.content.decode()]


@both_views
def test_an_answer_is_shown_as_text_and_never_as_markup(with_key, provider, url):
    provider.script(completion("<script>alert(1)</script> & <b>bold</b>"))

    page = ask(url, "Test").content.decode()

    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;bold&lt;/b&gt;" in page
    assert "<script" not in page


def test_one_saved_token_is_a_token(with_key, provider):
    provider.script(completion("Hi", prompt_tokens=1, completion_tokens=0))
    ask(SYNC, "Test")

    assert badge(ask(SYNC, "Test")).endswith(", 1 token saved")


def test_an_answer_of_unknown_cost_saves_what_it_saves(with_key, provider):
    provider.script(completion("Hi"))
    ask(SYNC, "Test")

    assert re.fullmatch(r"from cache, [\d.]+ ms", badge(ask(SYNC, "Test")))


def test_an_answer_without_text_says_so(with_key, provider):
    provider.script(completion(""))

    response = ask(SYNC, "Test")

    assert "The answer has no text." in text(response)
    assert "not stored: it is empty" in text(response)


def test_a_tool_call_is_named(project):
    response = ask(SYNC, "What's the weather in Paris?", provider="mistral")

    assert "The model asks for get_weather" in text(response)


@both_views
@pytest.mark.parametrize("provider_name", ["openai", "anthropic", "gemini", "groq", "mistral", "xai"])
def test_without_a_key_the_stand_in_answers_for_every_provider(project, url, provider_name):
    first = ask(url, "Test", provider=provider_name)

    second = ask(url, "Test", provider=provider_name)

    assert (badge(first)[:4], badge(second)[:10]) == ("live", "from cache")
    assert "Recorded from" in text(first)
    assert standin.STANDIN.calls == 1


def test_the_stand_in_starts_when_it_is_first_asked(project):
    get(SYNC)

    with pytest.raises(RuntimeError, match="not running"):
        _ = standin.STANDIN.url


def test_the_choice_tells_the_real_providers_from_the_stand_in(with_key):
    page = get(SYNC).content.decode()

    groups = dict(re.findall(r'<optgroup label="([^"]*)">(.*?)</optgroup>', page, re.DOTALL))

    assert re.findall(r'value="(\w+)"', groups["With your key"]) == ["openai"]
    assert "OpenAI · gpt-4o-mini" in groups["With your key"]
    assert re.findall(r'value="(\w+)"', groups["Stand-in, no key needed"]) == [
        "anthropic", "gemini", "groq", "mistral", "xai",
    ]  # fmt: skip


def test_the_page_takes_nothing_from_elsewhere_and_needs_no_script(project):
    page = ask(SYNC, "Test").content.decode()

    assert not re.findall(r"""(?:src|href|url|@import)\s*[=(]?\s*["']?(?:https?:)?//""", page)
    assert "<script" not in page


def test_every_field_has_a_label(project):
    page = get(SYNC).content.decode()

    fields = set(re.findall(r'<(?:textarea|select|input type="checkbox")[^>]* id="(\w+)"', page))

    assert fields == set(re.findall(r'<label for="(\w+)"', page)) == {"id_question", "id_provider", "id_refresh"}


def test_an_error_is_tied_to_its_field(project):
    page = ask(SYNC, "").content.decode()

    described = re.search(r'<textarea[^>]* aria-describedby="(\w+)"', page)[1]

    assert f'id="{described}" role="alert">Type a question first.<' in page


@both_views
def test_a_post_without_the_csrf_token_is_refused(project, url):
    client = AsyncClient(enforce_csrf_checks=True) if url == ASYNC else Client(enforce_csrf_checks=True)
    post = async_to_sync(client.post) if url == ASYNC else client.post

    assert post(url, {"question": "Test", "provider": "openai"}).status_code == 403


def test_other_methods_are_refused(project):
    assert Client().delete(SYNC).status_code == 405


def test_the_admin_is_on(project):
    response = Client().get("/admin/login/")

    assert (response.status_code, "Django administration" in text(response)) == (200, True)


def test_the_asgi_application_answers(project):
    async def status():
        application = import_module("example_project.asgi").application
        scope = {"type": "http", "method": "GET", "path": ASYNC, "headers": [(b"host", b"testserver")]}
        answer = ApplicationCommunicator(application, scope)
        await answer.send_input({"type": "http.request"})
        start = await answer.receive_output(timeout=10)
        await answer.receive_output(timeout=10)
        await answer.wait()
        return start["status"]

    assert asyncio.run(status()) == 200


def test_every_setting_has_a_default(load):
    example = load()

    assert (example.DEBUG, example.ALLOWED_HOSTS, example.STANDIN_LATENCY) == (True, [], 0.8)
    assert example.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
    assert {words["API_KEY"] for words in example.LLMCACHE["PROVIDERS"].values()} == {None}


def test_no_two_projects_share_a_secret_key_by_default(load):
    assert load().SECRET_KEY != load().SECRET_KEY


def test_the_settings_read_the_environment(load):
    example = load(
        DEBUG="off",
        SECRET_KEY="told",
        ALLOWED_HOSTS="a.example,b.example",
        CSRF_TRUSTED_ORIGINS="https://a.example",
        DATABASE_URL="sqlite:////srv/x.db",
        LOG_LEVEL="WARNING",
        OPENAI_API_KEY=f" {KEY} ",
        OPENAI_MODEL="gpt-x",
        PROVIDER_TIMEOUT="7",
        ANSWER_TTL="60",
        ANSWER_ENTRIES="5",
        STANDIN_LATENCY="0.1",
    )

    assert (example.DEBUG, example.SECRET_KEY, example.STANDIN_LATENCY) == (False, "told", 0.1)
    assert (example.ALLOWED_HOSTS, example.CSRF_TRUSTED_ORIGINS) == (["a.example", "b.example"], ["https://a.example"])
    assert example.DATABASES["default"]["NAME"] == "/srv/x.db"
    assert example.LOGGING["loggers"]["django_llmcache"]["level"] == "WARNING"
    assert (example.LLMCACHE["DEFAULT_TTL"], example.LLMCACHE["OPTIONS"]) == (60, {"MAX_ENTRIES": 5})
    assert example.LLMCACHE["PROVIDERS"]["openai"] == {"API_KEY": KEY, "MODEL": "gpt-x", "TIMEOUT": 7.0}


def test_the_settings_read_a_dotenv_file_below_the_environment(load):
    example = load(dotenv="OPENAI_API_KEY=from-file\nOPENAI_MODEL=from-file\n", OPENAI_MODEL="from-environment")

    words = example.LLMCACHE["PROVIDERS"]["openai"]

    assert (words["API_KEY"], words["MODEL"]) == ("from-file", "from-environment")


def test_a_number_that_is_none_is_refused_by_name(load):
    with pytest.raises(ImproperlyConfigured, match=r"ANSWER_TTL.*soon"):
        load(ANSWER_TTL="soon")


def test_the_dotenv_example_names_every_variable_and_its_default(load):
    shown = re.findall(
        r"^#([A-Z_]+)=(.*)$", (ROOT / "example_project" / ".env.example").read_text("utf-8"), re.MULTILINE
    )
    plain = load()
    asked = environ.Env.ENVIRON.asked
    theirs = {"SECRET_KEY", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "DATABASE_URL"}

    as_shown = load(**{name: value for name, value in shown if name not in theirs})

    assert {name for name, _ in shown} == asked
    assert [as_shown.DEBUG, as_shown.LLMCACHE, as_shown.STANDIN_LATENCY, as_shown.LOGGING] == [
        plain.DEBUG, plain.LLMCACHE, plain.STANDIN_LATENCY, plain.LOGGING,
    ]  # fmt: skip


@pytest.fixture
def clone(tmp_path):
    """Return a copy of the example, and the environment of somebody who has set nothing."""
    shutil.copy(ROOT / "manage.py", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", ".env")
    shutil.copytree(ROOT / "example_project", tmp_path / "example_project", ignore=ignored)
    kept = {"COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START", "PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR"}
    plain = {name: value for name, value in os.environ.items() if name.upper() in kept}
    ours = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "DJANGO_RUNSERVER_HIDE_WARNING": "true"}
    return SimpleNamespace(folder=tmp_path, env=plain | ours | {"PYTHONUNBUFFERED": "1", "STANDIN_LATENCY": "0"})


@contextmanager
def served(clone):
    """Run the example's server; give its address, and a file with what it says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = clone.folder / "log.txt"
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=clone.folder, env=clone.env, stdout=out, stderr=out)
        try:
            wait_for(port, process, log)
            yield f"http://127.0.0.1:{port}", log
        finally:
            process.kill()
            process.wait(30)


def wait_for(port, process, log):
    deadline = monotonic() + 60
    while monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            continue
        return
    pytest.fail(f"runserver does not answer:\n{log.read_text('utf-8')}")


def test_runserver_works_from_a_fresh_clone_without_key_migrate_or_warning(clone):
    badges = []
    with served(clone) as (site, log), requests.Session() as browser:
        browser.trust_env = False
        for url in (SYNC, SYNC, ASYNC):
            token = browser.get(site + url, timeout=30).cookies["csrftoken"]
            form = {"csrfmiddlewaretoken": token, "provider": "groq", "question": "Tell me a joke about opentelemetry"}
            badges.append(badge(browser.post(site + url, form, timeout=30)))
        said = log.read_text("utf-8")

    assert [re.sub(r"[\d.]+ ms", "N ms", text) for text in badges] == [
        "live, N ms",
        "from cache, N ms, 61 tokens saved",
        "from cache, N ms, 61 tokens saved",
    ]
    assert "no issues" in said
    assert not re.findall(r"(?i)warning|unapplied|error|traceback", said)
    assert not (clone.folder / "db.sqlite3").exists()


@pytest.mark.parametrize(
    "command",
    [["check", "--deploy", "--fail-level", "ERROR"], ["makemigrations", "--check", "--dry-run"]],
    ids=["check", "makemigrations"],
)
def test_the_project_passes_djangos_own_checks(clone, command):
    line = [sys.executable, "manage.py", *command]

    done = subprocess.run(line, cwd=clone.folder, env=clone.env, capture_output=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr.decode()
