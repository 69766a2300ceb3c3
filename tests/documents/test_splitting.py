"""How texts are cut, and that no text takes long to cut."""

from __future__ import annotations

import pytest

from tickwork.documents import BlockSplitter


@pytest.mark.parametrize(
    ("line", "heading"),
    [
        ("# Fees", "Fees"), ("## Fees ##", "Fees"), ("# Fees \t###  ", "Fees"), ("# C#", "C#"), ("# #1 of all", "#1 of all"), ("#\tTabs", "Tabs"),
        ("# a # b", "a # b"), ("# #", "#"),
    ],
)  # fmt: skip
def test_a_heading_is_what_stands_between_its_marks(line: str, heading: str) -> None:
    (chunk,) = BlockSplitter().split(f"{line}\n\ntext")

    assert (chunk.heading, chunk.text) == (heading, "text")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    ["# a" + " " * 1_000_000 + "b", "# a" + " #" * 500_000 + "b", "#" * 1_000_000, "a" + " " * 1_000_000 + "b", "`" * 1_000_000, "\n" * 1_000_000],
    ids=["spaces in a heading", "marks in a heading", "marks alone", "spaces in a line", "a fence", "empty lines"],
)  # fmt: skip
def test_a_text_that_was_made_to_take_long_does_not(text: str) -> None:
    """Who may upload could hold up the process otherwise: a heading with many spaces in it took hours."""
    assert all(chunk.text for chunk in BlockSplitter().split(text))
