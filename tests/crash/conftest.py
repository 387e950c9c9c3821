"""What the crash tests share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.crash.scene import Scene


@pytest.fixture(autouse=True)
def quiet(may_block: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Thousands of runs have nothing to say, and those of scenes have no threads."""
    monkeypatch.setattr(Scene, "threadless", True)
    logger = logging.getLogger("mediad")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)
