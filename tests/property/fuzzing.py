"""What the fuzzers share: how much is tried, and how bytes are broken. Every input follows from its number.

`MEDIAD_FUZZ=50` tries fifty times as many inputs as CI does, `MEDIAD_FUZZ_SEED=7` others.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence

TIMES = int(os.environ.get("MEDIAD_FUZZ", "1"))
SEED = int(os.environ.get("MEDIAD_FUZZ_SEED", "0"))

_LENGTHS = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_HEAD = 700  # bytes in which most of a file's structure is


def numbers(count: int) -> Iterator[tuple[int, random.Random]]:
    """So many inputs' numbers in CI, and the source of chance of each."""
    for number in range(count * TIMES):
        yield number, random.Random(f"{SEED}-{number}")


def broken(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """The same bytes, broken in one to eight ways."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        if found:
            chance.choice(_WAYS)(found, others, chance)
    return bytes(found)


def _position(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(min(len(data), chance.choice((64, _HEAD, 1 << 30))))


def _flip(data: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    data[_position(data, chance)] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    start = _position(data, chance)
    data[start : start + chance.randrange(1, 16)] = chance.randbytes(chance.randrange(1, 16))


def _lie(data: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    """Where a length, count or offset may stand, another one."""
    width = chance.choice((2, 4, 4, 8))
    value = chance.choice((*_LENGTHS, len(data), len(data) - 1, chance.randrange(1 << 16), (1 << 64) - 1))
    start = _position(data, chance)
    data[start : start + width] = (value % (1 << 8 * width)).to_bytes(width, chance.choice(("big", "little")))


def _cut(data: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    del data[_position(data, chance) :]


def _remove(data: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    start = _position(data, chance)
    del data[start : start + chance.randrange(1, 200)]


def _repeat(data: bytearray, _: Sequence[bytes], chance: random.Random) -> None:
    start, target = _position(data, chance), _position(data, chance)
    piece = data[start : start + chance.randrange(1, 400)]
    data[target:target] = piece * chance.choice((1, 2, 50))


def _splice(data: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    other = chance.choice(others)
    start, target = chance.randrange(len(other)), _position(data, chance)
    data[target:target] = other[start : start + chance.randrange(1, 4000)]


_WAYS = (_flip, _flip, _overwrite, _lie, _lie, _lie, _cut, _remove, _repeat, _splice)
