"""`python -m examples.service`: the app in several worker processes."""

from __future__ import annotations

import argparse
import socket
import sys

import uvicorn

from examples.service.handbook import TO_EDIT, WITH_CHROMA
from examples.service.settings import VAR


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.service", description="The example service of tickwork.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()

    check_free(options.host, options.port)
    address = f"http://{options.host}:{options.port}"
    print(f"The dashboard is at {address}/ ({options.workers} workers, Ctrl-C stops them).")
    print(f"The chat is at {address}/chat/: ask it when the shop opens, then edit {TO_EDIT} and ask again.")
    print(f"Documents are at {address}/documents/, sessions at {address}/sessions/.")
    if not WITH_CHROMA:
        print("Without chromadb every vector is compared, and words are found instead of meaning.")
    print(f"Jobs, history and reports are kept in {VAR}.", flush=True)
    uvicorn.run(
        "examples.service.app:app",
        host=options.host,
        port=options.port,
        workers=options.workers,
        log_level="warning",
        timeout_graceful_shutdown=5,
    )


def check_free(host: str, port: int) -> None:
    """Exit with a sentence if nothing can listen there; uvicorn would say it in the words of the system."""
    try:
        with socket.create_server((host, port)):
            return
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        sys.exit(f"expected to listen on {host} port {port}, got: {reason}; choose another: PORT={port + 1} make run")


if __name__ == "__main__":
    main()
