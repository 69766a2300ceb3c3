"""Labels: the tags and metadata of a job, by which people find it among others.

The rule: plain text and sorted, so that every process that declares a job writes the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tickwork.checks import check_text, shown
from tickwork.errors import InvalidJobError

MAX_TAGS = 50
MAX_TAG_LENGTH = 100
MAX_ENTRIES = 50
MAX_VALUE_LENGTH = 500


def sorted_tags(tags: object) -> tuple[str, ...]:
    """*tags* as a job keeps them: each once, in order. InvalidJobError for what are none."""
    if isinstance(tags, str) or not isinstance(tags, Collection) or isinstance(tags, Mapping):
        raise InvalidJobError(f"tags: expected a list of texts, got {shown(tags)}: write tags=['etl', 'nightly']")
    if len(tags) > MAX_TAGS:
        raise InvalidJobError(f"tags: expected at most {MAX_TAGS}, got {len(tags)}")
    for tag in tags:
        check_text("tags", tag, most=MAX_TAG_LENGTH)
    return tuple(sorted({*tags}))


def sorted_metadata(metadata: object) -> Mapping[str, str]:
    """*metadata* as a job keeps it: in the order of its keys. InvalidJobError for what is none."""
    if not isinstance(metadata, Mapping):
        raise InvalidJobError(f"metadata: expected a dict of texts, got {shown(metadata)}: write {{'team': 'search'}}")
    if len(metadata) > MAX_ENTRIES:
        raise InvalidJobError(f"metadata: expected at most {MAX_ENTRIES} entries, got {len(metadata)}")
    for key, value in metadata.items():
        check_text("metadata key", key, most=MAX_TAG_LENGTH)
        check_text(f"metadata[{key!r}]", value, most=MAX_VALUE_LENGTH)
    return dict(sorted(metadata.items()))


def has_labels(
    tags: Collection[str], metadata: Mapping[str, str], *, wanted: Collection[str], entries: Mapping[str, str]
) -> bool:
    """Whether what has these *tags* and *metadata* has all that are *wanted*, and all these *entries*."""
    return {*wanted} <= {*tags} and entries.items() <= metadata.items()
