"""Look-alikes among real pictures: all that the truth lists are found, and nothing else."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests import lookalikes

MEDIA = Path(__file__).parents[2].parent / "shared" / "media"
PARTS = ("neardup", "edited_sidecars", "gif", "png", "tiff", "webp", "jpeg/other")


def test_real_pictures() -> None:
    if not MEDIA.is_dir():
        pytest.skip(f"no collection of real media at {MEDIA}")
    found = lookalikes.table(
        MEDIA, anyio.run(lookalikes.prints_of, MEDIA, lookalikes.files_of(MEDIA, *PARTS))
    )
    assert len(found.same) > 20
    assert (found.false(), found.missed()) == ([], [])
