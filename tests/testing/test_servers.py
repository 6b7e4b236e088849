"""The server of a ``LiveServerTestCase``: what its views ask is replayed, and a miss in one is the test's."""

from __future__ import annotations

import pytest

from .conftest import ON

SERVER = """
    from contextlib import suppress
    from urllib.request import urlopen

    from django.http import HttpResponse
    from django.test import LiveServerTestCase, override_settings
    from django.urls import path
    from django_llmcache import achat, chat
    from django_llmcache.testing import live_api


    def messages(request):
        return [{"role": "user", "content": request.GET["q"]}]


    def view(request):
        return HttpResponse(chat("openai", messages(request)).text)


    async def aview(request):
        return HttpResponse((await achat("openai", messages(request))).text)


    urlpatterns = [path("sync", view), path("async", aview)]


    @override_settings(ROOT_URLCONF="test_server", STATIC_URL="/static/")
    class ServerTests(LiveServerTestCase):
        def get(self, address):
            with urlopen(self.live_server_url + address) as answer:
                return answer.read()

        @live_api
        def test_sync(self):
            self.assertTrue(self.get("/sync?q=In+a+view"))

        @live_api
        def test_async(self):
            self.assertTrue(self.get("/async?q=In+an+async+view"))

        @live_api(mode="replay")
        def test_a_miss_in_a_view(self):
            with suppress(Exception):
                self.get("/sync?q=Never+recorded")

        @live_api(mode="replay")
        def test_a_miss_in_an_async_view(self):
            with suppress(Exception):
                self.get("/async?q=Never+recorded")
"""


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_views_are_recorded_and_replayed_and_a_miss_in_one_is_the_tests(project, provider, runner):
    project.write("test_server.py", SERVER)
    args = () if runner == "pytest" else ("test",)

    first = getattr(project, runner)(*args, **ON)
    asked = provider.calls
    provider.stop()
    second = getattr(project, runner)(*args, LLMCACHE_TEST_CACHE_ENABLED="true")

    assert asked == len(project.fixtures) == 2
    for done in (first, second):
        assert "2 failed, 2 passed" in done.text or "FAILED (failures=2)" in done.text or "errors=2" in done.text, done
        for test in ("test_a_miss_in_a_view", "test_a_miss_in_an_async_view"):
            assert test in done.text
        assert "Nothing is recorded for this request: POST http://127.0.0.1:" in done.text
    assert "{+Never recorded+}" in second.text
