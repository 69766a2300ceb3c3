"""`tickwork docs`: what the commands say, and by which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tickwork.cli import main

APP = """
from tickwork.documents import Documents, Folder, HashEmbedder

docs = Documents("cli", "data", embedder=HashEmbedder(64), index={index!r})
docs.source("pages", max_staleness="1h")(Folder("pages"))
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"app_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(APP.format(index="exact"))
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.md").write_text("# Fruit\n\nThe apple is red.")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return f"{name}:docs"


def test_a_source_is_synced_searched_and_shown(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs", "status", app]) == 1  # never confirmed
    assert "never" in capsys.readouterr().out
    assert main(["docs", "sync", app, "pages", "--dry-run"]) == 0
    assert "1 would be changed" in capsys.readouterr().out

    assert main(["docs", "sync", app, "pages"]) == 0
    assert capsys.readouterr().out == (
        "1 listed: 0 unchanged, 1 changed, 0 deleted; 1 chunks embedded, 0 kept\n"
    )  # fmt: skip
    assert main(["docs", "search", app, "apple", "--json"]) == 0
    (hit,) = json.loads(capsys.readouterr().out)
    assert hit["freshness"]["age"] < 60
    assert (hit["text"], hit["doc_id"], hit["freshness"]["stale"]) == ("The apple is red.", "a.md", False)
    assert main(["docs", "search", app, "apple"]) == 0
    assert "The apple is red." in capsys.readouterr().out
    assert main(["docs", "status", app, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["documents"] == 1
    assert main(["docs", "verify", app]) == 0


def test_a_source_that_was_never_synced_fails_although_it_promises_nothing(
    app: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / f"{app.partition(':')[0]}.py"
    page.write_text(APP.format(index="exact").replace(', max_staleness="1h"', "").replace('"pages"))', '"none"))'))

    assert main(["docs", "status", app]) == 1
    assert "no sync of it has gone through yet" in capsys.readouterr().out
    assert main(["docs", "sync", app, "pages"]) == 2
    assert main(["docs", "status", app]) == 1
    assert "no sync of it has gone through yet; SourceUnavailableError" in capsys.readouterr().out
    (tmp_path / "none").mkdir()
    assert main(["docs", "sync", app, "pages"]) == 0
    assert main(["docs", "status", app]) == 0


def test_what_could_not_be_taken_in_is_named(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pages/b.md").write_bytes(b"\xff\xff")

    assert main(["docs", "sync", app, "pages"]) == 1
    assert "b.md: UnicodeDecodeError" in capsys.readouterr().out


def test_an_index_is_verified(app: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / f"{app.partition(':')[0]}.py").write_text(APP.format(index="embedded"))
    assert main(["docs", "sync", app, "pages"]) == 0

    assert main(["docs", "verify", app, "--repair"]) == 0
    assert "all is well" in capsys.readouterr().out


def test_room_is_given_back(app: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs", "sync", app, "pages"]) == 0
    capsys.readouterr()

    assert main(["docs", "compact", app]) == 0
    assert "MB freed: 0 chunks and 0 vectors let go\n" in capsys.readouterr().out
    assert main(["docs", "compact", app, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["docs", "sync", "APP", "page"], "did you mean 'pages'"), (["docs", "search", "APP", " "], "expected a text"),
        (["docs", "status", "json:loads"], "expected"), (["docs", "status", "json"], "expected MODULE:DOCUMENTS"),
        (["docs"], "expected"), (["docs", "seek", "APP"], "seek"), (["docs", "search", "APP", "x", "--where", "lang"], "where"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line_and_exit_code_2(
    app: str, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main([app if argument == "APP" else argument for argument in arguments]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
