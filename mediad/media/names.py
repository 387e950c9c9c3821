"""Capture dates in file names: phones, messengers, screenshots, scanners, screen recorders. PURE."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from mediad.media.reading import Candidate

ONLY_DAY = "only the day is known"
_UNSURE = "a number that may be a time"

_FLAGS = re.ASCII | re.IGNORECASE

# Digests and UUIDs hold any digits; a token of hex digits with a letter among them is taken for one.
_DIGEST = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|(?<![0-9a-z])(?=[0-9]*[a-f])[0-9a-f]{9,}(?![0-9a-z])",
    _FLAGS,
)
_DATE = r"(?P<year>(?:19|20)\d\d)(?P<ds>[-_.: ]?)(?P<month>0[1-9]|1[0-2])(?P=ds)(?P<day>0[1-9]|[12]\d|3[01])"
_TIME = r"(?P<hour>[01]\d|2[0-3])(?P<ts>[-_.: h]?)(?P<minute>[0-5]\d)(?:(?P=ts)|m)(?P<second>[0-5]\d)"
_FRACTION = r"(?:(?!_00\d)[-_.,]?(?P<fraction>\d{3})(?!\d))?"  # "_001" counts the pictures of a second
# Between the two: a sign or blank, or a word of the language ("at", "um", "a las", "à", "às") between blanks.
_BETWEEN = r"(?:[-_.,T ]{0,3}|[ _]?(?:at|kl\.?|um|om|alle|a las|\W{1,2}|klo|o|as|a?\W{1,2}s)[ _])"
_FULL = re.compile(
    rf"(?<!\d){_DATE}{_BETWEEN}{_TIME}(?:{_FRACTION})(?!\d)(?P<zulu>Z\b|[ _]UTC(?![a-z])|_iOS\b)?", _FLAGS
)
# "Screenshot 2019-05-21 at 1.45.52 PM"; newer systems put a narrow no-break space before the PM, and some
# languages write "p. m.".
_TWELVE = re.compile(
    rf"(?<!\d){_DATE}{_BETWEEN}(?P<hour>1[0-2]|0?[1-9])(?P<ts>[-.:])(?P<minute>[0-5]\d)(?P=ts)"
    r"(?P<second>[0-5]\d)\W{0,3}(?P<half>[AP])\.?\W?M\b",
    _FLAGS,
)
# Orders of their own. Where day and month cannot be told apart, only those count whose maker is known.
_OTHERS = tuple(
    re.compile(pattern, _FLAGS)
    for pattern in (
        # iOS: "ScreenRecording_01-31-2024 13-05-22_1"
        r"^ScreenRecording_(?P<month>\d\d)-(?P<day>\d\d)-(?P<year>20\d\d)[ _]"
        r"(?P<hour>\d\d)-(?P<minute>\d\d)-(?P<second>\d\d)(?!\d)",
        # "CamScanner 01-31-2024 13.05", "CamScanner 2024-01-31 13.05"
        r"^CamScanner (?P<month>\d\d)-(?P<day>\d\d)-(?P<year>20\d\d) (?P<hour>\d\d)\.(?P<minute>\d\d)",
        r"^CamScanner (?P<year>20\d\d)-(?P<month>\d\d)-(?P<day>\d\d) (?P<hour>\d\d)\.(?P<minute>\d\d)",
        # Telegram's desktop: "photo_51@31-01-2024_13-05-22"
        r"@(?P<day>\d\d)-(?P<month>\d\d)-(?P<year>20\d\d)_"
        r"(?P<hour>\d\d)-(?P<minute>\d\d)-(?P<second>\d\d)(?!\d)",
        # dots stand between day, month and year only in this order: "31.01.2024 13:05:22"
        r"(?<![\d.])(?P<day>\d\d)\.(?P<month>\d\d)\.(?P<year>(?:19|20)\d\d)[ _,-]{1,3}"
        r"(?P<hour>\d\d)(?P<ts>[-:._])(?P<minute>\d\d)(?P=ts)(?P<second>\d\d)(?!\d)",
        # cameras in cars: "2024_0131_130522_001", "FILE240131-130522F"
        r"(?<!\d)(?P<year>20\d\d)_(?P<month>\d\d)(?P<day>\d\d)_"
        r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?!\d)",
        r"^FILE(?P<short>\d\d)(?P<month>\d\d)(?P<day>\d\d)-"
        r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?!\d)",
        # Nextcloud and ownCloud: "24-01-31 13-05-22 1234"; PicsArt: "Picsart_24-01-31_13-05-22-789"
        r"^(?:Picsart_)?(?P<short>\d\d)-(?P<month>\d\d)-(?P<day>\d\d)[ _]"
        r"(?P<hour>\d\d)-(?P<minute>\d\d)-(?P<second>\d\d)(?!\d)",
        # Samsung's recorder: "Voice 240131_130522"
        r"^Voice (?P<short>\d\d)(?P<month>\d\d)(?P<day>\d\d)_"
        r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?!\d)",
    )
)
_DAY = re.compile(
    r"(?:(?<![0-9a-z])|(?<=[g-z])|(?<=vid)|(?<=snd)|(?<=rec)|(?<=pic))" + _DATE + r"(?![0-9a-z])(?!-\d{2}\b)",
    _FLAGS,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<named>{'|'.join(_MONTHS)})(?:uary|ruary|ch|il|e|y|ust|t|tember|ober|ember)?"
_DAY_IN_WORDS = tuple(
    re.compile(pattern, _FLAGS)
    for pattern in (
        # "Adobe Scan 31 Jan 2024", "Adobe Scan Jan 31, 2024", "Scan 31.01.2024"
        rf"(?<![0-9a-z])(?P<day>[0-3]?\d)\.?[ _-]{_MONTH}[ _-](?P<year>(?:19|20)\d\d)(?!\d)",
        rf"(?<![0-9a-z]){_MONTH}[ _-](?P<day>[0-3]?\d),?[ _-](?P<year>(?:19|20)\d\d)(?!\d)",
        r"(?<![\d.])(?P<day>\d\d)\.(?P<month>\d\d)\.(?P<year>(?:19|20)\d\d)(?!\.?\d)",
    )
)
_EPOCH = re.compile(
    r"^(?P<known>FB_IMG_|mmexport|wx_camera_|microMsg\.|IMG_|VID_|image_|video_|pic_|PhotoGrid_|FaceApp_)?"
    r"(?P<stamp>1\d{12})(?!\d)",
    _FLAGS,
)
_EPOCH_SECONDS = re.compile(r"^RPReplay_Final(?P<stamp>1\d{9})(?!\d)", _FLAGS)
# No date has fewer digits than eight, or five where it names the month, and most names have fewer.
_EIGHT_DIGITS = re.compile(r"(?:\d\D*){8}", _FLAGS)
_FIVE_DIGITS = re.compile(r"(?:\d\D*){5}", _FLAGS)
_UTC_NAMES = re.compile(r"^PXL_", _FLAGS)


def from_filename(name: bytes) -> tuple[Candidate, ...]:
    """The capture date that a file's name tells, as no or one candidate. Never raises.

    Args:
        name: a file name without its folder; any bytes.
    """
    text = name[:255].decode("utf-8", "replace")
    stem, _, extension = text.rpartition(".")
    if not stem or extension.isdigit():  # no extension: "2018-04-12 19.24.49"
        stem = text
    if _EIGHT_DIGITS.search(stem) is None:
        named = _day_in_words(stem) if _FIVE_DIGITS.search(stem) is not None else None
        return (named,) if named is not None else ()
    plain = _DIGEST.sub(lambda match: "x" * len(match[0]), stem)
    for reader in (_twelve_hours, _full, _other_order, _epoch, _day):
        candidate = reader(plain)
        if candidate is not None:
            return (candidate,)
    return ()


def _candidate(raw: str, moment: datetime | None, *, utc: bool = False, doubt: str = "") -> Candidate | None:
    if moment is None:
        return None
    return Candidate("filename", "filename", raw.strip()[:64], moment, utc=utc, doubt=doubt)


def _read(match: re.Match[str], hour: int | None = None) -> datetime | None:
    parts = match.groupdict()
    micro = int((parts.get("fraction") or "0").ljust(6, "0"))
    hour = int(parts["hour"]) if hour is None else hour
    year = int(parts["year"]) if "year" in parts else 2000 + int(parts["short"])
    day = (year, int(parts["month"]), int(parts["day"]))
    return _valid(*day, hour, int(parts["minute"]), int(parts.get("second") or 0), micro)


def _valid(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, micro: int = 0
) -> datetime | None:
    try:
        return datetime(year, month, day, hour, minute, second, micro)  # noqa: DTZ001
    except ValueError:
        return None


def _full(stem: str) -> Candidate | None:
    for match in _FULL.finditer(stem):
        is_utc = bool(match["zulu"] or _UTC_NAMES.match(stem))
        candidate = _candidate(match[0], _read(match), utc=is_utc)
        if candidate is not None:
            return candidate
    return None


def _twelve_hours(stem: str) -> Candidate | None:
    match = _TWELVE.search(stem)
    if match is None:
        return None
    hour = int(match["hour"]) % 12 + (12 if match["half"] in "Pp" else 0)
    return _candidate(match[0], _read(match, hour))


def _other_order(stem: str) -> Candidate | None:
    for pattern in _OTHERS:
        match = pattern.search(stem)
        candidate = _candidate(match[0], _read(match)) if match is not None else None
        if candidate is not None:
            return candidate
    return None


def _epoch(stem: str) -> Candidate | None:
    """Milliseconds since 1970 in UTC (messengers and apps), or seconds (the recorder of iOS)."""
    seconds = _EPOCH_SECONDS.match(stem)
    start = datetime(1970, 1, 1)  # noqa: DTZ001
    if seconds is not None:
        return _candidate(seconds[0], start + timedelta(seconds=int(seconds["stamp"])), utc=True)
    match = _EPOCH.match(stem)
    if match is None:
        return None
    moment = start + timedelta(milliseconds=int(match["stamp"]))
    return _candidate(match[0], moment, utc=True, doubt="" if match["known"] else _UNSURE)


def _day(stem: str) -> Candidate | None:
    for match in _DAY.finditer(stem):
        moment = _valid(int(match["year"]), int(match["month"]), int(match["day"]))
        candidate = _candidate(match[0], moment, doubt=ONLY_DAY)
        if candidate is not None:
            return candidate
    return _day_in_words(stem)


def _day_in_words(stem: str) -> Candidate | None:
    for pattern in _DAY_IN_WORDS:
        match = pattern.search(stem)
        if match is None:
            continue
        parts = match.groupdict()
        named = parts.get("named")
        month = _MONTHS.index(named.lower()) + 1 if named else int(parts["month"])
        candidate = _candidate(match[0], _valid(int(parts["year"]), month, int(parts["day"])), doubt=ONLY_DAY)
        if candidate is not None:
            return candidate
    return None
