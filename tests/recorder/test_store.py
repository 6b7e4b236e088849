"""The fixture folder: what is written is found, by whoever, whole, and nowhere else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_llmcache.recorder import files, keyfolders, names, parsed, store
from django_llmcache.recorder.fixture import FixtureError
from django_llmcache.recorder.names import LONGEST, folder_name
from django_llmcache.recorder.store import HARD_LIMIT, Damaged, FixtureStore

from .made import answered, asked, fields_of, fixture, key_of

ROOT = Path(__file__).parents[2]
WINDOWS_FORBIDS = re.compile(r'[<>:"/\\|?*\x00-\x1f]|[. ]$|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)', re.IGNORECASE)

needs_links = pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="links need a privilege there")


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "fixtures"


@pytest.fixture
def fixtures(folder) -> FixtureStore:
    return FixtureStore(folder)


def start(folder: Path, name: str, number: int, *, size: int, step: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.recorder.writer", str(folder), name, *map(str, (number, size, step))]
    return subprocess.Popen(command, cwd=ROOT)


def taken(fixtures: FixtureStore, name: object = "a question") -> list:
    return fixtures.take("openai", "chat_completions", key_of(name))


def edit(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def later(path: Path) -> None:
    """Make an edit visible that came within one tick of the file system's clock."""
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1_000_000))


class TestWriting:
    def test_what_is_written_is_read_as_it_was(self, fixtures):
        one = fixture(b"data: 1\n\n", b"data: \xff\n\n", request=asked(b"\xff" * 6000, headers=()))

        path = fixtures.write(one)

        assert fields_of(fixtures.read(path)) == fields_of(one)
        assert fixtures.read(path).path == path

    def test_the_file_lies_by_provider_endpoint_and_key_and_is_called_after_its_time(self, fixtures, folder):
        path = fixtures.write(fixture())

        assert path.parent == folder / "openai" / "chat_completions" / key_of("a question")[:12]
        assert re.fullmatch(r"2026-01-01T12-00-00-000000Z-[0-9a-f]{4}\.json", path.name)

    def test_nothing_but_the_fixture_is_left(self, fixtures):
        path = fixtures.write(fixture())

        assert list(path.parent.iterdir()) == [path]

    def test_a_large_body_lies_beside_it(self, fixtures):
        path = fixtures.write(fixture(b"\xff" * 10_000))

        assert path.with_suffix(".body").read_bytes() == b"\xff" * 10_000
        assert taken(fixtures)[0].response.body == b"\xff" * 10_000

    def test_fixtures_of_one_moment_have_names_of_their_own(self, fixtures):
        paths = {fixtures.write(fixture()) for _ in range(50)}

        assert len(paths) == len(taken(fixtures)) == 50

    def test_a_name_that_is_taken_is_left_alone(self, fixtures, monkeypatch):
        stems = iter(["2026-a", "2026-a", "2026-b"])
        monkeypatch.setattr(store, "file_stem", lambda _: next(stems))
        first = fixtures.write(fixture(b"1"))

        second = fixtures.write(fixture(b"2"))

        assert (first.name, second.name) == ("2026-a.json", "2026-b.json")
        assert fixtures.read(first).response.body == b"1"

    @pytest.mark.parametrize("left", [".2026-a.json.tmp", "2026-a.body"])
    def test_a_name_that_a_killed_writer_had_begun_is_not_used(self, fixtures, monkeypatch, left):
        stems = iter(["2026-0", "2026-a", "2026-b"])
        monkeypatch.setattr(store, "file_stem", lambda _: next(stems))
        parent = fixtures.write(fixture()).parent
        (parent / left).write_bytes(b"half")

        path = fixtures.write(fixture(b"\xff" * 5000))

        assert path.name == "2026-b.json"
        assert (parent / left).read_bytes() == b"half"

    def test_no_free_name_is_told(self, fixtures, monkeypatch):
        monkeypatch.setattr(store, "file_stem", lambda _: "2026-a")
        fixtures.write(fixture())

        with pytest.raises(FixtureError, match="no file name is free there"):
            fixtures.write(fixture())

    def test_a_folder_that_vanishes_is_made_again(self, fixtures, monkeypatch):
        create = files.create
        gone = []

        def vanish(path, content, side):
            if not gone:
                gone.append(path.parent.rmdir())
            create(path, content, side)

        monkeypatch.setattr(store, "create", vanish)

        assert fixtures.write(fixture()).exists()

    @pytest.mark.parametrize("fails", ["fsync", "replace"])
    def test_a_full_disk_leaves_nothing_behind(self, fixtures, folder, monkeypatch, fails):
        def full(*args):
            raise OSError(28, "No space left on device")

        if fails == "fsync":
            monkeypatch.setattr(os, "fsync", full)
        else:
            monkeypatch.setattr(Path, "replace", full)

        with pytest.raises(OSError, match="No space left"):
            fixtures.write(fixture(b"\xff" * 5000))

        assert [path for path in folder.rglob("*") if path.is_file()] == []

    def test_a_file_in_the_folders_place_is_an_error(self, fixtures, folder):
        (folder / "openai").mkdir(parents=True)
        (folder / "openai" / "chat_completions").write_text("")

        with pytest.raises(OSError, match="chat_completions"):
            fixtures.write(fixture())

    def test_a_file_in_the_keys_place_is_an_error(self, fixtures, folder):
        parent = folder / "openai" / "chat_completions"
        parent.mkdir(parents=True)
        (parent / key_of("a question")[:12]).write_text("")

        with pytest.raises(FileExistsError):
            fixtures.write(fixture())

    def test_a_text_that_utf_8_cannot_tell_is_refused(self, fixtures):
        with pytest.raises(FixtureError, match="can't be written in UTF-8"):
            fixtures.write(fixture(tests=("\ud83d",)))

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"response": answered(b"{}", status=101)}, "response.status: it is 101"),
            ({"request": asked(url="/v1/chat")}, "request.url: it is '/v1/chat'"),
            ({"key_format": -1}, "key_format: it is -1"),
        ],
    )
    def test_what_could_not_be_read_again_is_refused(self, fixtures, folder, fields, message):
        one = fixture(**fields)

        for use in (fixtures.write, fixtures.check):
            with pytest.raises(FixtureError, match=message):
                use(one)
        assert not folder.exists()

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
    def test_the_umask_says_who_may_read_it(self, fixtures):
        before = os.umask(0o027)
        try:
            path = fixtures.write(fixture())
        finally:
            os.umask(before)

        assert path.stat().st_mode & 0o777 == 0o640


class TestSize:
    def test_a_body_over_the_limit_goes_into_the_side_file(self, folder):
        path = FixtureStore(folder, max_bytes=100).write(fixture(b"a" * 101))

        assert path.with_suffix(".body").exists()

    def test_a_body_within_it_does_not(self, folder):
        path = FixtureStore(folder, max_bytes=100).write(fixture(b"a" * 100))

        assert not path.with_suffix(".body").exists()

    def test_as_much_as_the_hard_limit_is_written(self, folder):
        one = fixture(b"a" * 100, request=asked(b"b" * (100 * HARD_LIMIT - 100)))

        assert FixtureStore(folder, max_bytes=100).write(one).exists()

    def test_more_is_refused_and_the_setting_named(self, folder):
        one = fixture(b"a" * 101, request=asked(b"b" * (100 * HARD_LIMIT - 100)))

        with pytest.raises(
            FixtureError, match=r"openai have 1,601 bytes.*\['MAX_FIXTURE_BYTES'\], which is 100,.*raise"
        ):
            FixtureStore(folder, max_bytes=100).write(one)
        assert not folder.exists()


class TestTaking:
    def test_nothing_is_found_where_nothing_is(self, fixtures):
        assert taken(fixtures) == []

    def test_only_the_keys_own_fixtures_are_found(self, fixtures):
        fixtures.write(fixture(name="another"))
        path = fixtures.write(fixture())

        assert [one.path for one in taken(fixtures)] == [path]

    def test_a_key_with_the_same_beginning_is_another(self, fixtures):
        key = key_of("a question")
        fixtures.write(fixture(key=key[:12] + "0" * 52))

        assert taken(fixtures) == []

    def test_an_unchanged_fixture_is_parsed_once(self, fixtures):
        fixtures.write(fixture())

        assert taken(fixtures)[0] is taken(fixtures)[0]

    def test_what_a_caller_does_to_the_list_concerns_nobody_else(self, fixtures):
        fixtures.write(fixture())
        taken(fixtures).clear()

        assert len(taken(fixtures)) == 1

    def test_one_that_another_process_wrote_is_seen(self, fixtures, folder):
        taken(fixtures)
        FixtureStore(folder).write(fixture())

        assert len(taken(fixtures)) == 1

    def test_an_edit_is_seen(self, fixtures):
        path = fixtures.write(fixture())
        taken(fixtures)
        edit(path, '"answer": 42', '"answer": 43')
        later(path)

        assert taken(fixtures)[0].response.body == b'{"answer":43}'

    def test_an_edit_of_the_side_file_is_seen(self, fixtures):
        path = fixtures.write(fixture(b"\xff" * 5000))
        taken(fixtures)
        path.with_suffix(".body").write_bytes(b"\xfe")

        with pytest.raises(FixtureError, match=r"side_file\.sha256"):
            taken(fixtures)

    def test_one_that_was_deleted_is_gone(self, fixtures):
        path = fixtures.write(fixture())
        taken(fixtures)
        path.unlink()

        assert taken(fixtures) == []

    def test_damage_is_told_with_the_file(self, fixtures):
        path = fixtures.write(fixture())
        edit(path, '"status": 200', '"status": "fine"')

        with pytest.raises(FixtureError, match=rf"{re.escape(str(path))}: response\.status: it is 'fine'"):
            taken(fixtures)

    def test_one_whose_key_a_newer_version_made_is_told(self, fixtures):
        path = fixtures.write(fixture())
        edit(path, '"key_format": 1', '"key_format": 2')

        with pytest.raises(FixtureError, match=rf"{re.escape(str(path))}: key_format: a newer version .+ update the"):
            taken(fixtures)

    def test_a_file_that_is_not_utf_8_is_told(self, fixtures):
        path = fixtures.write(fixture())
        path.write_bytes(b'{"\xff')

        with pytest.raises(FixtureError, match=r"it is not UTF-8 \(byte 2\)"):
            taken(fixtures)

    def test_a_mark_that_an_editor_put_in_front_is_no_damage(self, fixtures):
        path = fixtures.write(fixture())
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

        assert len(taken(fixtures)) == 1

    def test_one_that_was_moved_to_another_keys_folder_is_told(self, fixtures):
        path = fixtures.write(fixture())
        other = fixtures.write(fixture(name="another"))
        path.replace(other)

        with pytest.raises(FixtureError, match=r"key: it belongs in another folder"):
            taken(fixtures, "another")

    def test_a_file_that_vanishes_while_it_is_read_is_looked_for_anew(self, fixtures, monkeypatch):
        path = fixtures.write(fixture())
        read = keyfolders.read_file

        def vanish(path):
            Path(path).unlink(missing_ok=True)
            return read(path)

        monkeypatch.setattr(keyfolders, "read_file", vanish)

        assert taken(fixtures) == []
        assert not path.exists()

    def test_files_that_never_stay_are_told(self, fixtures, monkeypatch):
        monkeypatch.setattr(keyfolders, "names_in", lambda folder: ["gone.json"])

        with pytest.raises(FixtureError, match="come and go faster"):
            taken(fixtures)

    def test_a_change_is_seen_whatever_the_clock_of_the_file_says(self, fixtures):
        path = fixtures.write(fixture(b'{"n":1}'))
        taken(fixtures)
        times = path.stat()
        path.write_bytes(path.read_bytes().replace(b'"n": 1', b'"n": 2'))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

        assert taken(fixtures)[0].response.body == b'{"n":2}'

    def test_a_folder_beside_a_fixture_is_none_of_its_files(self, fixtures):
        path = fixtures.write(fixture())
        (path.parent / "another.body").mkdir()

        assert len(taken(fixtures)) == 1
        assert fixtures.sweep(time.time() + 60) == 0

    def test_other_files_are_no_fixtures(self, fixtures):
        path = fixtures.write(fixture())
        for name in ("README.md", ".2026.json.tmp", ".DS_Store", "2026.json~", ".hidden.json"):
            (path.parent / name).write_text("{")

        assert len(taken(fixtures)) == 1

    def test_a_folder_given_relatively_stays_where_it_was(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        relative = FixtureStore(Path("fixtures"))
        relative.write(fixture())
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")

        assert len(taken(relative)) == 1

    def test_memory_is_bounded(self, fixtures, monkeypatch):
        monkeypatch.setattr(parsed, "KEPT_BYTES", 30_000)
        for name in range(20):
            fixtures.write(fixture(name=name))
        first = taken(fixtures, 0)[0]
        for name in range(1, 20):
            taken(fixtures, name)

        assert taken(fixtures, 19)[0] is taken(fixtures, 19)[0]
        assert taken(fixtures, 0)[0] is not first

    def test_what_is_larger_than_all_memory_for_it_is_read_each_time(self, fixtures, monkeypatch):
        monkeypatch.setattr(parsed, "KEPT_BYTES", 100)
        fixtures.write(fixture())

        assert taken(fixtures)[0] is not taken(fixtures)[0]

    def test_what_is_that_large_costs_the_others_nothing(self, fixtures, monkeypatch):
        monkeypatch.setattr(parsed, "KEPT_BYTES", 20_000)
        for name, size in (("small", 10), ("large", 30_000)):
            fixtures.write(fixture(b"a" * size, name=name))
        small = taken(fixtures, "small")[0]
        taken(fixtures, "large")

        assert taken(fixtures, "small")[0] is small

    def test_a_look_costs_the_same_whatever_else_is_there(self, fixtures, monkeypatch):
        for name in range(30):
            fixtures.write(fixture(name=name))
        looked = []
        listdir, opened = os.listdir, os.open
        monkeypatch.setattr(os, "listdir", lambda path: looked.append("list") or listdir(path))
        monkeypatch.setattr(os, "open", lambda *args, **named: looked.append("open") or opened(*args, **named))

        taken(fixtures, 7)
        first = looked.copy()
        taken(fixtures, 7)

        assert first == ["list", "open"]
        assert looked == ["list", "open", "list"]


class TestContainment:
    @given(st.text(max_size=80))
    def test_any_name_is_one_that_windows_takes(self, name):
        made = folder_name(name)

        assert not WINDOWS_FORBIDS.search(made)
        assert 0 < len(made) <= LONGEST
        assert made not in (".", "..")

    @pytest.mark.parametrize(
        ("name", "made"),
        [
            ("openai", "openai"), ("models_gemini-1.5-flash_embedContent", "models_gemini-1.5-flash_embedContent"),
            ("127.0.0.1:11434", "127.0.0.1_11434"), ("..", "_"), ("../../etc", "_.._etc"), ("CON", "_CON"),
            ("nul.txt", "_nul.txt"), ("", "_"), ("é", "_"), ("a b", "a_b"), (".hidden.", "hidden"),
        ],
    )  # fmt: skip
    def test_a_name_stays_readable(self, name, made):
        assert folder_name(name) == made

    def test_long_names_stay_apart(self):
        assert folder_name("a" * 70) != folder_name("a" * 71)

    @pytest.mark.parametrize("name", ["../../../outside", "/etc", "a/../../b", "..\\..", "C:\\Windows"])
    def test_no_name_leads_out_of_the_folder(self, fixtures, folder, name):
        path = fixtures.write(fixture(provider=name, endpoint=name))

        assert path.is_relative_to(folder)
        assert len(path.relative_to(folder).parts) == 4
        assert len(fixtures.take(name, name, key_of("a question"))) == 1

    @pytest.mark.parametrize("key", ["", "../" * 8, "a" * 63, "A" * 64, "a" * 64 + "\n"])
    def test_a_key_that_is_none_is_refused(self, fixtures, key):
        with pytest.raises(FixtureError, match="must be 64 hex digits"):
            fixtures.take("openai", "chat", key)
        with pytest.raises(FixtureError, match="must be 64 hex digits"):
            fixtures.write(fixture(key=key))

    @pytest.mark.parametrize(
        "path",
        ["../x/y/z/a.json", "a.json", "a/b/a.json", "a/b/c/d/a.json", "a/b/c/a.txt", "a/b/../../../c/d/e/a.json"],
    )
    def test_a_path_elsewhere_is_neither_read_nor_deleted(self, fixtures, folder, path):
        target = Path(os.path.normpath(folder / path))
        target.parent.mkdir(parents=True)
        target.write_text("{}")
        kept = fixtures.write(fixture())

        with pytest.raises(FixtureError, match="it is no fixture of"):
            fixtures.read(folder / path)
        with pytest.raises(FixtureError, match="it is no fixture of"):
            fixtures.delete([kept, folder / path])

        assert target.exists()
        assert kept.exists()

    @needs_links
    @pytest.mark.parametrize("level", [0, 1, 2])
    def test_a_link_to_a_folder_elsewhere_is_not_followed(self, fixtures, folder, tmp_path, level):
        elsewhere = FixtureStore(tmp_path / "elsewhere")
        path = elsewhere.write(fixture())
        place = folder.joinpath(*path.relative_to(elsewhere.folder).parts[: level + 1])
        place.parent.mkdir(parents=True)
        place.symlink_to(elsewhere.folder / place.relative_to(folder))
        linked = folder / path.relative_to(elsewhere.folder)

        for act in (lambda: taken(fixtures), lambda: fixtures.write(fixture()), lambda: fixtures.read(linked)):
            with pytest.raises(FixtureError, match="a symbolic link leads to another folder"):
                act()
        with pytest.raises(FixtureError, match="a symbolic link"):
            fixtures.delete([linked])
        assert list(fixtures.all()) == []
        assert [one.path for one in elsewhere.all()] == [path]

    @needs_links
    @pytest.mark.parametrize("suffix", [".json", ".body"])
    def test_a_link_in_a_files_place_is_not_followed(self, fixtures, tmp_path, suffix):
        path = fixtures.write(fixture(b"\xff" * 5000)).with_suffix(suffix)
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")

        with pytest.raises(FixtureError, match=rf"\{suffix}: it is not a plain file"):
            taken(fixtures)

    @needs_links
    def test_the_folder_itself_may_be_a_link(self, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        linked = FixtureStore(tmp_path / "link")
        linked.write(fixture())

        assert len(taken(linked)) == 1


class TestListing:
    def test_all_are_listed_by_path_and_the_damaged_told(self, fixtures):
        paths = sorted(fixtures.write(fixture(name=name, provider=f"p{name % 3}")) for name in range(9))
        paths[4].write_text("{")

        found = list(fixtures.all())

        assert [one.path for one in found] == list(fixtures.paths()) == paths
        assert [isinstance(one, Damaged) for one in found].index(True) == 4
        assert "it is not JSON" in str(found[4].error)

    def test_a_request_that_can_not_be_put_together_is_damage_that_a_replay_does_without(self, fixtures):
        path = fixtures.write(fixture())
        text = path.read_text().replace('"model": "gpt-4o-mini"', r'"model": "\ud83d"')
        path.write_text(text)
        taken(fixtures)

        found = list(fixtures.all())

        assert [one.path for one in taken(fixtures)] == [path]
        assert [one.error.field for one in found] == ["request.body"]
        with pytest.raises(FixtureError, match=r"request\.body: it can't be written as JSON"):
            fixtures.read(path)

    def test_one_damaged_file_hides_none_of_the_others_of_its_key(self, fixtures):
        paths = sorted(fixtures.write(fixture()) for _ in range(3))
        paths[1].write_text("")

        assert [isinstance(one, Damaged) for one in fixtures.all()] == [False, True, False]

    def test_one_that_vanishes_while_it_is_read_is_told(self, fixtures, monkeypatch):
        paths = sorted(fixtures.write(fixture()) for _ in range(2))
        paths[0].write_text("")
        read = keyfolders.read_file

        def vanish(path):
            if Path(path) == paths[1]:
                raise FileNotFoundError(path)
            return read(path)

        monkeypatch.setattr(keyfolders, "read_file", vanish)

        assert "removed while it was read" in str(list(fixtures.all())[1].error)

    def test_those_of_a_provider_are_listed_without_the_damaged(self, fixtures):
        fixtures.write(fixture(name=1))
        fixtures.write(fixture(name=2)).write_text("{")
        fixtures.write(fixture(name=3, provider="groq"))

        assert [one.key for one in fixtures.of("openai")] == [key_of(1)]

    def test_a_folder_that_is_not_there_has_none(self, fixtures, folder):
        assert list(fixtures.all()) == list(fixtures.of("openai")) == list(fixtures.paths()) == []
        assert not folder.exists()


class TestDeleting:
    def test_the_fixture_its_side_file_and_its_empty_folders_go(self, fixtures, folder):
        paths = [fixtures.write(fixture(b"\xff" * 5000)), fixtures.write(fixture(provider="groq"))]

        assert fixtures.delete(paths[:1]) == 1

        assert [path for path in folder.rglob("*") if path.is_file()] == paths[1:]
        assert not (folder / "openai").exists()

    def test_the_folder_itself_stays(self, fixtures, folder):
        fixtures.delete([fixtures.write(fixture())])

        assert list(folder.iterdir()) == []

    def test_those_beside_it_stay(self, fixtures):
        one, other = fixtures.write(fixture()), fixtures.write(fixture())

        assert fixtures.delete([one]) == 1
        assert [left.path for left in taken(fixtures)] == [other]

    def test_one_that_is_gone_does_not_count(self, fixtures):
        path = fixtures.write(fixture())

        assert fixtures.delete([path, path]) == 1

    def test_what_killed_writers_left_is_swept_once_it_is_old(self, fixtures):
        path = fixtures.write(fixture(b"\xff" * 5000))
        for name in (".2026-a.json.tmp", "2026-b.body"):
            (path.parent / name).write_text("half")
        now = time.time()

        assert fixtures.sweep(now - 3600) == 0
        assert fixtures.sweep(now + 3600) == 2
        assert sorted(path.parent.iterdir()) == [path.with_suffix(".body"), path]

    def test_what_is_swept_by_somebody_else_does_not_count(self, fixtures, monkeypatch):
        parent = fixtures.write(fixture()).parent
        monkeypatch.setattr(store, "leftovers_in", lambda folder: [parent / "gone.body"])

        assert fixtures.sweep(time.time()) == 0


class TestProcesses:
    def test_many_write_at_once_and_nothing_is_lost(self, fixtures, folder):
        writers = [start(folder, f"writer-{number}", 20, size=6000) for number in range(4)]
        for writer in writers:
            writer.communicate(timeout=60)

        assert [writer.returncode for writer in writers] == [0] * 4
        shared = taken(fixtures, "shared")
        assert {(one.take, one.sequence) for one in shared} == {(f"writer-{n}", i) for n in range(4) for i in range(20)}
        assert all(one.response.body.startswith(one.take.encode()) for one in shared)
        assert sum(1 for _ in fixtures.all()) == 4 * 20 * 2

    def test_a_reader_never_sees_half_a_file(self, fixtures, folder):
        writer = start(folder, "writer", 40, size=50_000)
        while writer.poll() is None:
            assert not [one for one in fixtures.all() if isinstance(one, Damaged)]
            taken(fixtures, "shared")
        writer.communicate(timeout=60)

        assert len(taken(fixtures, "shared")) == 40

    # A fixture with a side file takes three steps: its text, the side file, and the name that makes it visible.
    @pytest.mark.parametrize(("step", "whole"), [(1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (6, 1), (7, 2)])
    def test_a_writer_that_is_killed_leaves_no_half_file_that_is_read(self, fixtures, folder, step, whole):
        victim = start(folder, "victim", 2, size=200_000, step=step)
        victim.communicate(timeout=60)

        found = list(fixtures.all())

        assert victim.returncode != 0
        assert [len(one.response.body) for one in found] == [len(b"victim ") + 200_000] * whole
        assert fixtures.write(fixture(b"next", name="shared", take="next")).exists()
        assert "next" in [one.take for one in taken(fixtures, "shared")]

    def test_threads_share_a_store(self, fixtures):
        fixtures.write(fixture(name="shared"))
        found: list[int] = []

        def work(number: int) -> None:
            for index in range(10):
                fixtures.write(fixture(name=f"{number} {index}"))
                found.append(len(taken(fixtures, f"{number} {index}")) + len(taken(fixtures, "shared")))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert found == [2] * 80


def test_the_name_of_a_file_says_when_it_was_recorded():
    assert re.fullmatch(r"1970-01-01T00-00-01-500000Z-[0-9a-f]{4}", names.file_stem(1.5))


def test_an_answer_that_is_larger_than_what_one_read_gives_comes_back(fixtures):
    body = bytes(range(256)) * 8192

    assert fixtures.read(fixtures.write(fixture(response=answered(body)))).response.body == body
