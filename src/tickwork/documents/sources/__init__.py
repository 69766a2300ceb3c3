"""Sources: what lists the documents there are. Files, the pages of a site, the rows of a query."""

from __future__ import annotations

from tickwork.documents.sources.base import List, Listing, Source
from tickwork.documents.sources.folder import Folder
from tickwork.documents.sources.sql import SQLQuery

__all__ = ["Folder", "List", "Listing", "SQLQuery", "Source"]
