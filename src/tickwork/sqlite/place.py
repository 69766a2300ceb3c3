"""Where a database file may be: on a local disk, in a folder that can be written."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tickwork.errors import StoreUnusableError

MOUNTS = Path("/proc/self/mountinfo")
OCTAL = re.compile(r"\\([0-7]{3})")
"""How the kernel writes a space, a tab, a newline and a backslash in the name of a mount point."""
NETWORK_FILE_SYSTEMS = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "drvfs", "fhgfs", "fuse.ceph", "fuse.cephfs", "fuse.gcsfuse",
    "fuse.glusterfs", "fuse.goofys", "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs", "fuse.sshfs", "gfs2", "glusterfs",
    "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf",
    "virtiofs", "vmhgfs",
})  # fmt: skip
"""File systems on which SQLite's locks or shared memory do not hold between machines."""


def check_place(path: Path) -> None:
    """StoreUnusableError if a database at *path* could not keep its promises."""
    if not path.parent.is_dir():
        raise StoreUnusableError(f"expected an existing folder for {path}, got {path.parent}, which is none: create it")
    if path.is_dir():
        raise StoreUnusableError(f"expected a file, got the folder {path}: add a file name to the URL")
    kind = file_system(path.parent)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreUnusableError(
            f"expected {path} on a local disk, got the network file system {kind!r}, on which SQLite's locks do not "
            f"hold: put the file on a local disk, or use a server (postgresql://, redis://)"
        )
    for thing in (path, path.parent):
        if thing.exists() and not os.access(thing, os.W_OK):
            raise StoreUnusableError(
                f"expected to write to {thing}, got no permission: "
                f"give this user the right to write the file and its folder"
            )


def file_system(folder: Path, mounts: str | None = None) -> str | None:
    """The type of the file system that *folder* is on, or None where that cannot be found out.

    Read from the kernel's table of mounts, whose format is described in proc_pid_mountinfo(5).
    """
    if mounts is None:
        try:
            mounts = MOUNTS.read_text("utf-8", "surrogateescape")
        except OSError:
            return None
    real = os.path.realpath(folder)
    best, kind = "", None
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        point = OCTAL.sub(lambda escape: chr(int(escape[1], 8)), fields.split(" ")[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # later mounts hide earlier ones
            best, kind = point, rest.split(" ")[0]
    return kind
