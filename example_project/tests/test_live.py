"""What real providers answered once, replayed from the files in llm_fixtures: offline, without a key."""

from __future__ import annotations

import asyncio

from django.test import SimpleTestCase

from django_llmcache import achat, chat, embed
from django_llmcache.exceptions import RateLimitError
from django_llmcache.testing import live_api

JOKE = [{"role": "user", "content": "Tell me a joke about opentelemetry"}]


class GroqTests(SimpleTestCase):
    @live_api
    def test_tells_a_joke(self):
        answer = chat("groq", JOKE, model="llama3-8b-8192")

        self.assertIn("Why did OpenTelemetry go to the doctor?", answer.text)
        self.assertEqual(answer.finish_reason, "stop")
        self.assertEqual(answer.usage.total_tokens, 61)

    @live_api
    def test_tells_it_on_the_event_loop_too(self):
        self.assertTrue(asyncio.run(achat("groq", JOKE, model="llama3-8b-8192")).text)

    @live_api(fault="429x1")
    def test_an_error_is_in_the_provider_s_own_words(self):
        with self.assertRaisesMessage(RateLimitError, "Rate limit reached"):
            chat("groq", JOKE, model="llama3-8b-8192")


@live_api
class MistralTests(SimpleTestCase):
    def test_embeds_a_text(self):
        answer = embed("mistral", "Tell me a joke about OpenTelemetry", model="mistral-embed")

        (vector,) = answer.embeddings
        self.assertEqual(len(vector), 1024)
