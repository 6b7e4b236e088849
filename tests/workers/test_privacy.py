"""Whether a folder lies in a temporary directory of one service's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_llmcache.workers.privacy import private_tmp_warning

PRIVATE = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 254:0 /tmp/systemd-private-0a1b-web.service-x9/tmp /tmp rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:25 / /run rw,nosuid - tmpfs tmpfs rw
32 30 0:26 / /tmp/shared rw - tmpfs tmpfs rw
short line
"""


@pytest.fixture
def mounts(tmp_path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(PRIVATE)
    return path


@pytest.mark.parametrize("folder", ["/tmp/llmcache-1-abc", "/tmp/a/b"])
def test_a_folder_in_a_private_temporary_directory_is_told_with_the_cure(mounts, folder):
    warning = private_tmp_warning(Path(folder), mounts=mounts)

    assert warning.startswith(f"{folder} is in a temporary directory of this service's own (systemd's PrivateTmp)")
    assert "Set LLMCACHE['RUN_DIR']" in warning
    assert "RuntimeDirectory=" in warning


@pytest.mark.parametrize("folder", ["/run/web", "/var/tmp/x", "/tmpx", "/tmp/shared/x"])
def test_any_other_folder_is_not(mounts, folder):
    assert private_tmp_warning(Path(folder), mounts=mounts) is None


def test_where_mounts_are_not_listed_nothing_is_said(tmp_path):
    assert private_tmp_warning(Path("/tmp/x"), mounts=tmp_path / "none") is None
