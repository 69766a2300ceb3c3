"""Where the documents of a test lie: in a folder, and in a PostgreSQL database, by turns."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        return tmp_path
    url: str = request.getfixturevalue("postgresql_url")
    return url
