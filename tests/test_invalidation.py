"""Answers die with the objects that they have for tags."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from django_llmcache import CachePolicy, LLMRequest, backends, cache, chat, policy
from django_llmcache.exceptions import ConfigurationError
from tests import stores

ANSWER = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["memory", "redis", "tiered"], autouse=True)
def backend(request, tmp_path):
    if request.param == "memory":
        yield
        return
    name = {"redis": "django_cache.DjangoCacheBackend", "tiered": "tiered.TieredBackend"}[request.param]
    known = {"default": caches.settings["default"], "llm": stores.alias_for("redis", tmp_path)}
    chosen = {"BACKEND": f"django_llmcache.backends.{name}", "OPTIONS": {"ALIAS": "llm"}}
    with override_settings(CACHES=known, LLMCACHE=chosen):
        yield
        backends.current().close()


@pytest.fixture
def user():
    return User.objects.create(username="ada")


def ask(*tags, prompt="Hi"):
    """Return whether the answer with these tags comes from the cache."""
    payload = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
    request = LLMRequest("openai", payload=payload, policy=CachePolicy(tags=tags))
    return cache.with_cache(request, lambda request: ANSWER).from_cache


def change(user):
    user.first_name = "Ada"
    user.save()


def test_an_answer_lives_while_its_object_stays_as_it_is(user):
    ask(user)

    assert ask(user)


@pytest.mark.parametrize("does", [change, User.delete], ids=["save", "delete"])
def test_a_change_of_its_object_clears_an_answer(user, does):
    tag = f"auth.user:{user.pk}"  # an object that was deleted has no key any more
    ask(user)
    assert ask(tag)

    does(user)
    assert not ask(tag)


def test_a_change_of_another_object_leaves_it(user):
    other = User.objects.create(username="bob")
    ask(user)
    change(other)

    assert ask(user)


def test_any_change_of_a_model_clears_an_answer_that_has_the_model_for_a_tag(user):
    ask(User)
    User.objects.create(username="bob")

    assert not ask(User)


def test_an_answer_of_several_objects_dies_with_any_of_them(user):
    group = Group.objects.create(name="staff")
    ask(user, group)
    group.name = "all"
    group.save()

    assert not ask(user, group)


@pytest.mark.parametrize("side", ["user", "group"])
def test_a_change_of_a_relation_clears_what_has_either_end(user, side):
    group = Group.objects.create(name="staff")
    tagged = {"user": user, "group": group}[side]
    ask(tagged)
    user.groups.add(group)

    assert not ask(tagged)


def test_taking_a_relation_away_clears_as_well(user):
    group = Group.objects.create(name="staff")
    user.groups.add(group)
    ask(user)
    user.groups.clear()

    assert not ask(user)


def test_a_change_counts_once_its_transaction_is_committed(user):
    ask(user)
    with transaction.atomic():
        change(user)
        assert ask(user)

    assert not ask(user)


def test_a_change_that_is_rolled_back_clears_nothing(user):
    ask(user)
    with pytest.raises(RuntimeError), transaction.atomic():
        change(user)
        raise RuntimeError

    assert ask(user)


def test_an_answer_asked_for_before_the_change_is_not_stored_after_it(user):
    payload = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    request = LLMRequest("openai", payload=payload, policy=CachePolicy(tags=[user]))

    def slow(request):
        change(user)
        return ANSWER

    cache.with_cache(request, slow)

    assert not ask(user)


def test_a_cleared_tag_of_an_object_clears_it(user):
    ask(user)
    cache.clear(tag=user)

    assert not ask(user)


def test_every_place_that_takes_tags_takes_objects(user, provider):
    with override_settings(
        LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{provider.url}/v1", "API_KEY": "made-up"}}}
    ):
        for tags in ([user], (user,), {user}):
            assert chat("openai", [{"role": "user", "content": "Hi"}], model="m", tags=tags).cache.status
    with policy(tags=[user, User, "faq"]) as said:
        assert said.tags == {f"auth.user:{user.pk}", "auth.user", "faq"}


def test_models_that_are_written_all_the_time_are_not_watched(user):
    ask("sessions.session")
    Session.objects.create(session_key="a", expire_date=timezone.now())

    assert ask("sessions.session")


def test_tag_models_says_which_models_are_watched(user):
    from django_llmcache import conf

    with override_settings(LLMCACHE={**conf.raw(), "TAG_MODELS": ["auth.Group"]}):
        group = Group.objects.create(name="staff")
        ask(user, prompt="user")
        ask(group, prompt="group")
        change(user)
        group.save()

        assert ask(user, prompt="user")
        assert not ask(group, prompt="group")


@pytest.mark.parametrize("tags", [[User()], [3], [""], User, "faq"], ids=["unsaved", "int", "empty", "model", "text"])
def test_what_is_no_tag_is_named(tags):
    with pytest.raises(ConfigurationError, match="tags"):
        CachePolicy(tags=tags)


def test_a_change_while_the_store_is_away_clears_once_it_is_back(user, tmp_path):
    server = stores.redis().start()
    known = {"default": caches.settings["default"], "llm": stores.alias_for("redis", tmp_path, server=server)}
    chosen = {"BACKEND": "django_llmcache.backends.django_cache.DjangoCacheBackend", "OPTIONS": {"ALIAS": "llm"}}
    with override_settings(CACHES=known, LLMCACHE=chosen):
        ask(user)
        server.freeze()
        change(user)
        server.thaw()
        backends.current().breaker.succeed()

        assert not ask(user)
        backends.current().close()
    server.stop()
