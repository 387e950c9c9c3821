"""What the crash tests share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def quiet(may_block: None) -> Iterator[None]:
    """Thousands of runs have nothing to say, and most of them have no threads; see `tests.crash.inline`."""
    logger = logging.getLogger("mediad")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)
