"""Durations and sizes as people write them. PURE."""

from __future__ import annotations

import re

_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST = 100 * 366 * 86_400_000
_DECIMAL = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES = _DECIMAL | {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_MOST_BYTES = 2**63 - 1
_QUANTITY = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9}))? ?([A-Za-z]*)")


def parse_duration(text: str) -> float:
    """Seconds, from "500ms", "2s", "15m", "36h" or "30d", to the millisecond.

    Raises:
        ValueError: what is wrong; what is allowed.
    """
    amount = _scaled(text, _MILLISECONDS)
    if amount is None or amount > _LONGEST:
        raise ValueError(f'"{text}" is no duration; a number with ms, s, m, h or d is allowed, such as "15m"')
    return amount / 1000


def parse_size(text: str) -> int:
    """Bytes, from "500MB" (decimal), "2GiB" (binary) or a plain number.

    Raises:
        ValueError: what is wrong; what is allowed.
    """
    amount = _scaled(text.upper(), _BYTES)
    if amount is None or amount > _MOST_BYTES:
        raise ValueError(
            f'"{text}" is no size; a number with KB, MB, GB, TB (decimal) or KiB, MiB, GiB, TiB (binary)'
            ' is allowed, such as "2GB"'
        )
    return amount


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as `seconds`."""
    amount = round(seconds * 1000)
    unit = next(unit for unit, factor in reversed(_MILLISECONDS.items()) if amount % factor == 0)
    return "0s" if amount == 0 else f"{amount // _MILLISECONDS[unit]}{unit}"


def format_size(amount: int) -> str:
    """The shortest text that `parse_size` reads as `amount` bytes."""
    if amount == 0:
        return "0B"
    whole = [unit for unit, factor in _BYTES.items() if unit and amount % factor == 0]
    unit = max(whole, key=_BYTES.__getitem__)
    return f"{amount // _BYTES[unit]}{unit.replace('I', 'i')}"


def _scaled(text: str, units: dict[str, int]) -> int | None:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[3] not in units:
        return None
    decimals = match[2] or ""
    return int(match[1] + decimals) * units[match[3]] // int(10 ** len(decimals))
