from __future__ import annotations

import asyncio
import re
from importlib import import_module

from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.test import AsyncClient, Client

from .browser import ASYNC, SYNC, ask, both_views, get, text


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
