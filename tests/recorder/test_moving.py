"""A fixture moves to the folder of its new key: whatever interrupts it, nothing is lost and nothing is there twice."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from django_llmcache.recorder.fixture import FixtureError
from django_llmcache.recorder.store import FixtureStore

from .dying import dying_at
from .made import fields_of, fixture, key_of

LARGE = b"\xff" * 10_000


@pytest.fixture
def fixtures(tmp_path) -> FixtureStore:
    return FixtureStore(tmp_path / "fixtures")


def everything(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("body", [b"{}", LARGE], ids=["plain", "with a side file"])
class TestMoving:
    def test_it_is_in_the_folder_of_its_key_under_its_name_and_nowhere_else(self, fixtures, body):
        old = fixtures.write(fixture(body))
        one = fixture(body).changed(key=key_of("another"))

        new = fixtures.move(old, one)

        assert new.name == old.name
        assert not old.parent.exists()
        assert fields_of(fixtures.read(new)) == fields_of(one)

    @pytest.mark.parametrize("step", range(6))
    def test_a_process_that_is_killed_leaves_it_whole_and_the_next_one_finishes(
        self, fixtures, body, step, monkeypatch
    ):
        old = fixtures.write(fixture(body))
        one = fixture(body).changed(key=key_of("another"))
        with monkeypatch.context() as dying, suppress(KeyboardInterrupt):
            dying_at(step, dying)
            fixtures.move(old, one)
        assert [found.response.body for found in fixtures.all()] in ([body], [body, body])

        new = fixtures.move(old, one) if old.exists() else next(fixtures.paths())

        assert [fields_of(found) for found in fixtures.all()] == [fields_of(one)]
        assert {path.stem for path in everything(fixtures.folder) if path.name[0] != "."} == {new.stem}

    def test_within_its_folder_it_is_written_over(self, fixtures, body):
        old = fixtures.write(fixture(body))

        new = fixtures.move(old, fixture(body).changed(sequence=3))

        assert new == old
        assert [found.sequence for found in fixtures.all()] == [3]

    def test_a_copy_is_in_both_places(self, fixtures, body):
        old = fixtures.write(fixture(body))

        new = fixtures.copy(old, fixture(body).changed(key=key_of("another")), "its-name.json")

        assert new.name == "its-name.json"
        assert [found.response.body for found in fixtures.all()] == [body, body]

    def test_another_fixture_of_that_name_is_left_alone(self, fixtures, body):
        old = fixtures.write(fixture(body))
        other = fixtures.write(fixture(b"other", name="another"))
        twin = other.rename(other.with_name(old.name))

        new = fixtures.move(old, fixture(body).changed(key=key_of("another")))

        assert new != twin
        assert {found.response.body for found in fixtures.all()} == {b"other", body}
        assert not old.exists()


def test_a_side_file_that_is_no_longer_needed_goes(fixtures):
    old = fixtures.write(fixture(LARGE))

    new = fixtures.move(old, fixture(b"{}"))

    assert everything(fixtures.folder) == [new]


def test_where_both_files_change_the_fixture_gets_a_new_name(fixtures):
    old = fixtures.write(fixture(LARGE))

    new = fixtures.move(old, fixture(LARGE[1:]))

    assert everything(fixtures.folder) == sorted([new, new.with_suffix(".body")])
    assert new != old


def test_a_place_outside_the_folder_is_refused(fixtures, tmp_path):
    old = fixtures.write(fixture())
    (tmp_path / "elsewhere").mkdir()
    (fixtures.folder / "openai/embeddings").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FixtureError, match="a symbolic link leads to another folder"):
        fixtures.move(old, fixture().changed(endpoint="embeddings"))

    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert old.exists()


def test_one_that_lies_in_the_wrong_folder_can_be_read_on_request(fixtures):
    old = fixtures.write(fixture())
    wrong = fixtures.folder / "openai/chat_completions" / key_of("another")[:12] / old.name
    wrong.parent.mkdir()
    old.rename(wrong)

    with pytest.raises(FixtureError, match="it belongs in another folder than this"):
        fixtures.read(wrong)

    assert fixtures.read(wrong, anywhere=True).key == fixture().key
