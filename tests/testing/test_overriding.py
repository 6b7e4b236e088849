"""Other settings for a class, in the forms that Django has; blocks and functions are used all over these tests."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import SimpleTestCase, override_settings

from django_llmcache import conf
from django_llmcache.testing import override_llmcache


@override_llmcache(DEFAULT_TTL=77)
class Overridden(SimpleTestCase):
    def test_the_key_holds(self):
        self.assertEqual(settings.LLMCACHE["DEFAULT_TTL"], 77)

    def test_the_others_stay_as_they_are(self):
        self.assertLessEqual({**Outside.before, "DEFAULT_TTL": 77}.items(), settings.LLMCACHE.items())


class Outside(SimpleTestCase):
    before = dict(conf.raw())

    def test_nothing_is_left_of_it(self):
        self.assertEqual(conf.raw(), self.before)


@override_llmcache(TTL_JITTER=0.5)
class Derived(Overridden):
    def test_its_own_key_is_added_to_those_of_its_base(self):
        self.assertEqual((settings.LLMCACHE["DEFAULT_TTL"], settings.LLMCACHE["TTL_JITTER"]), (77, 0.5))


@override_llmcache(DEFAULT_TTL=77)
@override_settings(LLMCACHE={"KEY_VERSION": 3})
class OverOthers(SimpleTestCase):
    def test_it_is_put_over_what_else_is_overridden(self):
        self.assertEqual(settings.LLMCACHE, {"KEY_VERSION": 3, "DEFAULT_TTL": 77})


def test_a_class_that_django_sets_nothing_up_for_is_refused():
    with pytest.raises(ValueError, match="SimpleTestCase"):
        override_llmcache(DEFAULT_TTL=77)(type("Plain", (), {}))
