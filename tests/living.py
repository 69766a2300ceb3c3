"""How a process is, as the system tells it, which Linux and macOS do in two ways."""

from __future__ import annotations

import subprocess
from pathlib import Path


def state_of(pid: int) -> str:
    """One letter, such as T for one that is stopped, or Z for one that has ended and was not waited for; "" for none."""
    if not Path("/proc/self/stat").exists():
        asked = ["ps", "-o", "stat=", "-p", str(pid)]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()[:1]
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_gone(pid: int) -> bool:
    """Whether no process has this id; one that has ended and was not waited for is none."""
    return state_of(pid) in ("", "Z")
