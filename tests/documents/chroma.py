"""A Chroma server of the tests' own."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tickwork.documents import serving


class ChromaServer:
    """`chroma run`, as an operator keeps it."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            self.port = listening.getsockname()[1]
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", serving.RUN, "run", "--path", str(self.folder), "--port", str(self.port), "--host", "127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
