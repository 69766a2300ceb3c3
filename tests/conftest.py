"""What all tests share: the laws explain their failures, and Hypothesis looks at no stopwatch."""

from __future__ import annotations

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("tests.stores.laws", "tests.executors.laws")

settings.register_profile("tickwork", deadline=None)  # a slow machine is not a bug
settings.load_profile("tickwork")
