"""Where a database may be."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tickwork.errors import StoreUnusableError
from tickwork.sqlite import place
from tickwork.sqlite.place import check_place, file_system
from tickwork.stores.sqlite import SQLiteStore

MOUNTS = r"""
22 27 0:20 / /proc rw,nosuid shared:12 - proc proc rw
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 27 0:30 / /mnt/share rw,relatime shared:20 - nfs4 server:/export rw,vers=4.2
32 31 8:2 / /mnt/share/local rw,relatime - xfs /dev/sdb1 rw
33 27 0:31 / /mnt/with\040space rw - cifs //server/share rw
34 27 0:33 / /mnt/twice rw - ext4 /dev/sdc1 rw
35 34 0:34 / /mnt/twice rw - fuse.sshfs me@host: rw
36 27 0:35 / /home/me rw master:3 propagate_from:2 - 9p hostshare rw
37 27 0:36 / /mnt/다 rw - nfs server:/x rw
""".strip()


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/var/lib/app", "ext4"),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/deep/in", "nfs4"),
        ("/mnt/shared", "ext4"),
        ("/mnt/share/local/app", "xfs"),
        ("/mnt/with space", "cifs"),
        ("/mnt/twice", "fuse.sshfs"),
        ("/home/me", "9p"),
        ("/mnt/다", "nfs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(folder: str, kind: str) -> None:
    assert file_system(Path(folder), MOUNTS) == kind


def test_without_a_table_of_mounts_nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(place, "MOUNTS", tmp_path / "nowhere")

    assert file_system(tmp_path) is None
    assert file_system(tmp_path, "") is None
    check_place(tmp_path / "jobs.db")


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"27 1 0:30 / {tmp_path} rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(place, "MOUNTS", table)

    with pytest.raises(
        StoreUnusableError, match="on a local disk, got the network file system 'nfs4'.*put the file on a local disk"
    ):
        SQLiteStore(tmp_path / "jobs.db").open()

    assert not (tmp_path / "jobs.db").exists()


def test_a_folder_that_is_missing_or_in_the_files_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        StoreUnusableError, match="expected an existing folder for .*, got .*/nowhere, which is none: create it"
    ):
        check_place(tmp_path / "nowhere" / "jobs.db")
    with pytest.raises(StoreUnusableError, match="expected a file, got the folder .*: add a file name to the URL"):
        check_place(tmp_path)


@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.skipif(os.name != "posix", reason="permissions as on Unix")
def test_what_this_user_may_not_write_is_refused(what: str) -> None:
    """In a process without root's rights, which may write everywhere."""
    script = f"""
import os
from pathlib import Path
from tickwork.errors import StoreUnusableError
from tickwork.sqlite.place import check_place
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
path = Path(os.environ["PLACE"]) / "jobs.db"
try:
    check_place(path)
except StoreUnusableError as error:
    assert str(error).startswith(f"expected to write to {{path if {what!r} == 'file' else path.parent}}, got no permission"), error
else:
    raise SystemExit("expected a StoreUnusableError")
"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.db"
        path.touch()
        path.chmod(0o444 if what == "file" else 0o666)
        Path(folder).chmod(0o777 if what == "file" else 0o555)

        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PLACE": folder},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

        Path(folder).chmod(0o777)
        assert (done.returncode, done.stderr) == (0, "")
