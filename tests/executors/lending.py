"""Functions with dependencies, for jobs that run in a process of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI


def lend() -> Iterator[str]:
    yield "lent"


def depend(value: Annotated[str, Depends(lend)]) -> str:
    return value


def depend_on_the_app(app: FastAPI) -> str:
    return app.title
