"""A Chroma server that lives as long as the process that started it: `python -m tickwork.documents.serving`.

The rule: it holds the lock of its folder, and so does Chroma itself; so as long as anything of it lives, nobody else
opens the folder. It ends when its standard input does: when its owner closes that, or is gone, however that was.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading

RUN = "import sys, chromadb_rust_bindings; chromadb_rust_bindings.cli(['chroma', *sys.argv[1:]])"
"""What `chroma run` does, without the second that importing all of Chroma takes."""
TIME_TO_END = 10.0
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux: so that Chroma goes even if this process is killed."""


def main(folder: str, port: str, lock: int) -> int:
    """Serve until the owner is gone; 0 if Chroma ended as asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the owner, who closes in order
    server = subprocess.Popen(  # noqa: S603  this interpreter, and arguments of our own
        [sys.executable, "-c", RUN, "run", "--path", folder, "--host", "127.0.0.1", "--port", port],
        stdin=subprocess.DEVNULL, pass_fds=[lock], preexec_fn=_die_with_parent,  # noqa: PLW1509  one thread so far
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    threading.Thread(target=_end_with_owner, args=(server,), daemon=True).start()
    return server.wait()


def _end_with_owner(server: subprocess.Popen[bytes]) -> None:
    while sys.stdin.buffer.read(1):
        """Nobody writes to it."""
    server.terminate()
    try:
        server.wait(TIME_TO_END)
    except subprocess.TimeoutExpired:
        server.kill()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
