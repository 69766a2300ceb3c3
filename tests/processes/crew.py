"""The crew: real processes, started for a test and ended with it, whatever happens."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tests.living import state_of
from tests.processes.orders import Orders
from tests.processes.patience import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]
AnyProcess = TypeVar("AnyProcess", bound="Process")


class Process:
    """A process of our own, in a session of its own."""

    def __init__(self, arguments: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT, env=environment, start_new_session=True, bufsize=0,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
            )  # fmt: skip
        self.pid = self._popen.pid

    def signal(self, number: int) -> None:
        self._popen.send_signal(number)

    def wait_ended(self, patience: float = PATIENCE) -> int:
        """Its exit code."""
        return self._popen.wait(patience)

    @property
    def ended(self) -> bool:
        return self._popen.poll() is not None

    def kill(self) -> None:
        """It and its children, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(PATIENCE)
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                stream.close()

    def write(self, line: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(line.encode() + b"\n")

    def read_line(self) -> str:
        assert self._popen.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._popen.stdout], [], [], PATIENCE)
            assert ready, f"expected an answer from process {self.pid} within {PATIENCE:.0f} s\n{self.log.read_text()}"
            part = self._popen.stdout.read(65536)
            assert part, f"expected an answer from process {self.pid}, which ended\n{self.log.read_text()}"
            line += part
        return line.decode()

    def hang_up(self) -> None:
        """End its standard input."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()


class Worker(Process):
    """A process with a scheduler, without a web server: see `worker.py`."""

    module = "tests.processes.worker"

    def __init__(self, orders: Orders, log: Path) -> None:
        super().__init__(["-m", self.module], log, orders.environment())
        self.node = ""

    def wait_started(self) -> None:
        self.node = json.loads(self.read_line())

    def ask(self, verb: str, **arguments: Any) -> Any:
        self.write(json.dumps({"verb": verb, **arguments}))
        return json.loads(self.read_line())

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)
        wait_until(lambda: state_of(self.pid) == "T", "a stopped process")

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def stop(self) -> None:
        self.hang_up()
        assert self.wait_ended() == 0, self.log.read_text()


class Server(Process):
    """`uvicorn --workers`, on a port that the system chose."""

    def __init__(self, orders: Orders, log: Path, *, workers: int) -> None:
        command = ["-m", "uvicorn", "tests.processes.app:app", "--port", "0", "--workers", str(workers)]
        super().__init__(command, log, orders.environment())

    def wait_address(self) -> str:
        """Where it serves."""
        found = wait_until(
            lambda: re.search(r"running on (http://[\d.]+:\d+)", self.log.read_text()),
            "a line with the server's address",
        )
        return found[1]

    def stop(self) -> None:
        self.signal(signal.SIGTERM)
        self.wait_ended()


class Crew:
    """All processes of one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[Process] = []

    def hire(self, orders: Orders, number: int, **changed: Any) -> list[Worker]:
        """That many workers, started at the same time."""
        workers = [Worker(replace(orders, **changed), self.new_log()) for _ in range(number)]
        self._processes += workers
        for worker in workers:
            worker.wait_started()
        return workers

    def serve(self, orders: Orders, *, workers: int) -> Server:
        server = Server(orders, self.new_log(), workers=workers)
        self._processes.append(server)
        return server

    def run(self, program: str, *arguments: str) -> Process:
        """A small program; its first line is awaited."""
        process = Process(["-c", program, *arguments], self.new_log())
        self._processes.append(process)
        process.read_line()
        return process

    def add(self, process: AnyProcess) -> AnyProcess:
        """One that was started elsewhere, to be ended with the others."""
        self._processes.append(process)
        return process

    def dismiss(self) -> None:
        for process in self._processes:
            process.kill()

    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted(self._folder.glob("*.log")))

    def new_log(self) -> Path:
        return self._folder / f"{len(list(self._folder.glob('*.log')))}-{os.getpid()}.log"
