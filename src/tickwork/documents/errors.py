"""Every error of documents.

TickworkError
└── DocumentsError
    ├── InvalidDocumentError (ValueError)     an option, a document or a question that cannot be
    ├── SourceNotFoundError (LookupError)     a source, or a set of documents, that this process does not know
    ├── SourceUnavailableError                a source that cannot be read just now
    ├── DocumentsInUseError                   another process has the embedded index open
    ├── EmbeddingError                        an embedder that fails, or gives what is no vector
    ├── EmbedderChangedError                  vectors of another embedder than this one
    ├── IndexUnusableError                    an index that cannot be read; search goes on without it
    ├── MassDeletionError                     a listing without so many documents that it is not believed
    ├── SyncSupersededError                   a sync that another one of the same source has overtaken
    └── StaleError                            an answer older than was asked for
"""

from __future__ import annotations

from tickwork.errors import TickworkError


class DocumentsError(TickworkError):
    """Something is wrong with documents."""


class InvalidDocumentError(DocumentsError, ValueError):
    """A document, an option or a question is not what it can be."""


class SourceNotFoundError(DocumentsError, LookupError):
    """This process knows no source, or no documents, of this name."""


class SourceUnavailableError(DocumentsError):
    """A source cannot be read just now. Nothing of it was deleted."""


class DocumentsInUseError(DocumentsError):
    """Another process has the embedded index open, and there is room for one."""


class EmbeddingError(DocumentsError):
    """An embedder failed, or gave something else than one finite vector for each text."""


class EmbedderChangedError(DocumentsError):
    """The stored vectors are of another embedder, and vectors of two embedders cannot be compared."""


class IndexUnusableError(DocumentsError):
    """The index cannot be used as it is. Nothing is lost: it is built anew from the catalogue."""


class MassDeletionError(DocumentsError):
    """A listing lacks so many documents that nothing was deleted."""


class SyncSupersededError(DocumentsError):
    """Another sync of this source began later, and this one may write no more."""


class StaleError(DocumentsError):
    """The source has not confirmed an answer for longer than was asked for."""
