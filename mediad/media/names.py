"""Capture dates in file names: phones, messengers, screenshots, scanners, screen recorders. PURE."""

from __future__ import annotations

import re
import unicodedata
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
# "2021-7-10", as some languages write it.
_SHORT_DATE = r"(?P<year>20\d\d)(?P<ds>[-.])(?P<month>1[0-2]|0?[1-9])(?P=ds)(?P<day>[12]\d|3[01]|0?[1-9])"
# Between the two: a sign or blank, or "at" in the languages of operating systems, which hours without seconds
# need; or a word that is unknown.
_AT = (
    "at|kl\\.?|klo|kello|um|om|alle(?: ore)?|ore|a las|a la\\(s\\)|à\\(s\\)|à|às|ás|as|o|ob|la"
    "|pukul|jam|saat|в|о|об|у|στις|בשעה|في|เวลา"  # noqa: RUF001
)
_FOREIGN = "[\u0370-\u1fff\u2c00-\ud7ff\uf900-\ufdff\ufe70-\uffef]"  # a letter that is not Latin
_BETWEEN = (
    rf"(?:(?P<at>,?[ _-](?:{_AT})[ _-])|[-_.,T ]{{0,3}}|(?P<between>[ ]{_FOREIGN}{{1,12}}[ ])"
    "|[ _]ve?[ _])"  # Czech's "at", which before two numbers may tell a version
)
_AM = "A\\.?[ ]?M(?![a-z0-9])\\.?|오전|上午|午前|凌晨|清晨|早上|π\\.?μ\\.?|صباحا|ص(?![\u0600-\u06ff])"
_PM = "P\\.?[ ]?M(?![a-z0-9])\\.?|오후|下午|午後|晚上|μ\\.?μ\\.?|مساء|م(?![\u0600-\u06ff])"
_TIME = (
    rf"(?:(?P<am>{_AM})[ _]?|(?P<pm>{_PM})[ _]?)?"
    r"(?P<hour>[01]\d|2[0-3]|(?<=[^0-9_.,:T-])\d(?=[-.:_]))(?P<ts>[-_.: h]?)(?P<minute>[0-5]\d)"
    r"(?(at)(?:(?:(?P=ts)|m)(?P<seconds>[0-5]\d)|(?<=[-.:h]\d\d))|(?:(?P=ts)|m)(?P<second>[0-5]\d))"
)
# "_001" counts the pictures of a second, "_720p" and "_800x600" tell of size.
_FRACTION = (
    r"(?:(?!_00\d)(?:[-_.,]?(?P<fraction>\d{3})|[-_.,](?P<micro>\d{6})|[.,](?P<long>\d{4,9}))(?![0-9a-y]))?"
)
_FULL = tuple(
    re.compile(rf"(?<!\d){date}{_BETWEEN}{_TIME}{_FRACTION}(?!\d)", _FLAGS) for date in (_DATE, _SHORT_DATE)
)
# What may stand behind a time: the half of the day ("8.39.25 PM", "8.39.25 p. m."), or an unknown word that
# may be one, but for what systems call a copy.
_BEHIND = re.compile(
    rf"[ _]{{0,3}}(?:(?P<am>{_AM})|(?P<pm>{_PM}))"
    rf"| ?(?:копия|副本|拷贝|拷貝|のコピー|복사본|αντίγραφο)|(?P<unknown> ?{_FOREIGN})",
    _FLAGS,
)
_ZONE = re.compile(
    r"(?P<utc>Z\b|[ _.-]?(?:UTC|GMT)(?![a-z]|[+-]\d)|_iOS\b)"
    r"|[ _]?(?P<sign>\+)(?P<hours>\d\d)[:_.]?(?P<minutes>[0-5]\d)(?!\d)"
    r"|[ _]?(?P<west>-)(?P<west_hours>\d\d):(?P<west_minutes>[0-5]\d)(?!\d)",
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
        # with hundredths of a second: of Nintendo's Switch "2024013113052200-" and a digest, or "_s"; of
        # Epson's scanners "img20240131_13052200"
        r"^(?P<year>20\d\d)(?P<month>\d\d)(?P<day>\d\d)(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
        r"(?P<hundredths>\d\d)(?:-x{32}|_[sc])(?![0-9a-z])",
        r"^img(?P<year>20\d\d)(?P<month>\d\d)(?P<day>\d\d)_"
        r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?P<hundredths>\d\d)(?!\d)",
        # Nextcloud and ownCloud: "24-01-31 13-05-22 1234"; PicsArt: "Picsart_24-01-31_13-05-22-789"
        r"^(?:Picsart_)?(?P<short>\d\d)-(?P<month>\d\d)-(?P<day>\d\d)[ _]"
        r"(?P<hour>\d\d)-(?P<minute>\d\d)-(?P<second>\d\d)(?!\d)",
        # iOS, where dots stand: "Photo 31.01.24, 13 05 22"
        r"^(?:Photo|Video|Foto|Фото|Видео) (?P<day>\d\d?)\.(?P<month>\d\d?)\.(?P<short>\d\d),? "
        r"(?P<hour>\d\d?)(?P<ts>[ .:])(?P<minute>\d\d)(?P=ts)(?P<second>\d\d)(?!\d)",
        # Samsung's recorder: "Voice 240131_130522"
        r"^Voice (?P<short>\d\d)(?P<month>\d\d)(?P<day>\d\d)_"
        r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?!\d)",
    )
)
# "240131_130522" may as well begin with the day.
_SIX = re.compile(
    r"^(?P<short>\d\d)(?P<month>\d\d)(?P<day>\d\d)[_-]"
    r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?![0-9a-z])",
    _FLAGS,
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
    r"^(?P<known>FB_IMG_|mmexport|wx_camera_|microMsg\.|IMG_|VID_|image_|video_|pic_|PicsArt_|PhotoGrid_|FaceApp_)?"
    r"(?P<stamp>1(?(known)\d|[2-9])\d{11})(?!\d)",
    _FLAGS,
)
_EPOCH_SECONDS = re.compile(r"^RPReplay_Final(?P<stamp>1\d{9})(?!\d)", _FLAGS)
# No date has fewer digits than eight, or five where it names the month, and most names have fewer.
_EIGHT_DIGITS = re.compile(r"(?:\d\D*){8}", _FLAGS)
_FIVE_DIGITS = re.compile(r"(?:\d\D*){5}", _FLAGS)
_UTC_NAMES = ("PXL_", "GMT")  # of Pixel phones, of Zoom
# Blanks that do not break, as "PM" has before it, and marks of the direction of writing.
_PLAIN = {0xA0: " ", 0x202F: " ", **dict.fromkeys((0x200E, 0x200F, *range(0x202A, 0x202F)))}


def from_filename(name: bytes) -> tuple[Candidate, ...]:
    """The capture date that a file's name tells, as no or one candidate. Never raises.

    Args:
        name: a file name without its folder; any bytes.
    """
    text = name[:255].decode("utf-8", "replace")
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_PLAIN)  # macOS takes letters apart
    stem, _, extension = text.rpartition(".")
    if not stem or extension.isdigit():  # no extension: "2018-04-12 19.24.49"
        stem = text
    if _EIGHT_DIGITS.search(stem) is None:
        named = _day_in_words(stem) if _FIVE_DIGITS.search(stem) is not None else None
        return (named,) if named is not None else ()
    plain = _DIGEST.sub(lambda match: "x" * len(match[0]), stem)
    for reader in (_full, _other_order, _epoch, _day):
        candidate = reader(plain)
        if candidate is not None:
            return (candidate,)
    return ()


def of_half(hour: int, half: str) -> int:
    """The hour of the day of one of a half: "A" or "P" in either case, or "" where none is told."""
    if not half or hour > 12:
        return hour
    return hour % 12 + (12 if half in "Pp" else 0)


def _candidate(
    raw: str, moment: datetime | None, *, offset: int | None = None, utc: bool = False, doubt: str = ""
) -> Candidate | None:
    if moment is None:
        return None
    return Candidate("filename", "filename", raw.strip()[:64], moment, offset, utc, doubt)


def _timed(match: re.Match[str], stem: str, doubt: str = "") -> Candidate | None:
    """The candidate of a day and time, with what stands behind them."""
    parts = match.groupdict()
    behind, zone = _BEHIND.match(stem, match.end()), _ZONE.match(stem, match.end())
    if parts.get("ts") == "" and behind is not None and not behind["unknown"]:
        # Hours run together with minutes are of the whole day: "123456_PM" has somebody's initials.
        behind = None
    half = _half(parts) or (_half(behind.groupdict()) if behind is not None else "")
    moment = _moment(parts, half)
    is_unknown = parts.get("between") or (behind is not None and behind["unknown"])
    if is_unknown and not half and _may_be_half(parts):
        midnight = moment and moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return _candidate(match[0], midnight, doubt=ONLY_DAY)
    offset = _offset(zone) if zone is not None else None
    utc = _is_utc_by_maker(stem[: match.start()]) or offset == 0 or (zone is not None and bool(zone["utc"]))
    end = max(behind.end() if half and behind is not None else 0, zone.end() if zone is not None else 0)
    raw = stem[match.start() : max(match.end(), end)]
    return _candidate(raw, moment, offset=None if utc else offset, utc=utc, doubt=doubt)


def _half(parts: dict[str, str | None]) -> str:
    return "P" if parts.get("pm") else "A" if parts.get("am") else ""


def _is_utc_by_maker(before: str) -> bool:
    """Does a name start as those do that are UTC? Copies have more before it."""
    start = next((start for start in _UTC_NAMES if before[-4:].upper().endswith(start)), "")
    return bool(start) and not before[: -len(start)][-1:].isalpha()


def _moment(parts: dict[str, str | None], half: str) -> datetime | None:
    digits = (
        parts.get("fraction") or parts.get("micro") or parts.get("long") or parts.get("hundredths") or "0"
    )
    year = int(parts.get("year") or f"20{parts.get('short')}")
    day = (year, int(parts["month"] or 0), int(parts["day"] or 0))
    second = int(parts.get("second") or parts.get("seconds") or 0)
    hour = of_half(int(parts["hour"] or 0), half)
    return _valid(*day, hour, int(parts["minute"] or 0), second, int(digits[:6].ljust(6, "0")))


def _may_be_half(parts: dict[str, str | None]) -> bool:
    """May the hour be one of twelve? Such are told apart from their minutes and have no zero before them."""
    hour = parts["hour"] or ""
    return parts.get("ts") != "" and 1 <= int(hour) <= 12 and not hour.startswith("0")


def _offset(zone: re.Match[str]) -> int | None:
    """Minutes east of UTC, or None where no zone is that far away: then it was a number."""
    if zone["sign"]:
        minutes = int(zone["hours"]) * 60 + int(zone["minutes"])
    elif zone["west"]:
        minutes = -(int(zone["west_hours"]) * 60 + int(zone["west_minutes"]))
    else:
        return None
    return minutes if -12 * 60 <= minutes <= 14 * 60 and minutes % 15 == 0 else None


def _valid(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, micro: int = 0
) -> datetime | None:
    try:
        return datetime(year, month, day, hour, minute, second, micro)  # noqa: DTZ001
    except ValueError:
        return None


def _full(stem: str) -> Candidate | None:
    for pattern in _FULL:
        for match in pattern.finditer(stem):
            candidate = _timed(match, stem)
            if candidate is not None:
                return candidate
    return None


def _other_order(stem: str) -> Candidate | None:
    for pattern in _OTHERS:
        match = pattern.search(stem)
        candidate = _timed(match, stem) if match is not None else None
        if candidate is not None:
            return candidate
    match = _SIX.match(stem)
    return _timed(match, stem, _UNSURE) if match is not None else None


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
