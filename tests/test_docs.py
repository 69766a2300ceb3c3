"""The documentation is true: its code runs, its links lead somewhere, its twins agree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")


def blocks() -> list[object]:
    return [
        pytest.param(code, id=f"{page.relative_to(ROOT)}:{number}")
        for page in PAGES
        for number, code in enumerate(BLOCK.findall(page.read_text("utf-8")), 1)
    ]


@pytest.mark.parametrize("code", blocks())
def test_code_in_the_documentation_runs(code: str, tmp_path: Path) -> None:
    """Each Python block is a whole program, which runs in an empty folder without a warning."""
    (tmp_path / "page.py").write_text(code, "utf-8")

    done = subprocess.run(
        [sys.executable, "-W", "error", "page.py"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    """A relative link names a file or folder that exists."""
    targets = [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]

    missing = [target for target in targets if not (page.parent / target).exists()]

    assert missing == []


def test_readme_twins_have_the_same_shape() -> None:
    """The Korean README has the headings, code blocks and tables of the English one."""

    def shape(name: str) -> list[str]:
        lines = (ROOT / name).read_text("utf-8").splitlines()
        return [re.match(r"#+|```\w*|\|", line)[0] for line in lines if re.match(r"#+ |```|\|", line)]  # type: ignore[index]

    assert shape("README.md") == shape("README.ko.md")


def test_readme_names_the_two_commands_on_its_first_screen() -> None:
    for name in ("README.md", "README.ko.md"):
        first_screen = "\n".join((ROOT / name).read_text("utf-8").splitlines()[:30])

        assert "$ make run" in first_screen, name
        assert "$ make test" in first_screen, name
