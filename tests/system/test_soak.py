"""A short soak; `python -m tests.soak` has the long one."""

from __future__ import annotations

from tests.soak.soak import soak

SEED = 4
SECONDS = 45.0
STEPS = 400


def test_a_short_soak() -> None:
    told = soak(SEED, SECONDS, steps=STEPS)
    print(told)
    assert not told.wrong, told.report()
    assert told.rests > 3
    assert told.kills > 3
