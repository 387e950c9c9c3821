"""Dating: a capture date is overridden, and the set filed anew by it. PURE.

Nothing is written into any file: the catalogue has the date, of the set's principal, and keeps what it had
before with the step, so that this can be taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from mediad.errors import printable
from mediad.keeping import refiling
from mediad.keeping.change import Change, Kept, Shift
from mediad.keeping.refiling import Today
from mediad.keeping.stated import Stated, chosen, stated, text_of
from mediad.media.dates import DateSettings, choose
from mediad.model import BY_HAND, Taken

_FIRST_YEAR = 1000  # before it a year has no four digits, and sorts wrongly
_LAST_YEAR = 9000  # of what is found, as in media.dates: at the end of the calendar no zone can be reckoned
_EVER = datetime(9000, 1, 1, tzinfo=UTC)  # the user's word counts for what lies ahead, too
_DAY = timedelta(days=1)


class Date(NamedTuple):
    """A capture date as the catalogue has it: columns of an arrival, and from `tag` on keys of its evidence.

    Attributes:
        taken: local time, ISO 8601; None: undated.
        tag: the field's own name. note: what is believed of the date beyond what that field says.
        sidecar: the file that tells it, "" for the principal itself.
    """

    taken: str | None = None
    offset_min: int | None = None
    source: str | None = None
    confidence: str | None = None
    tag: str = ""
    note: str = ""
    sidecar: str = ""


class Refused(NamedTuple):
    """Why a file gets no other date."""

    why: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What dates are judged by today.

    Attributes:
        now: the present, aware.
        first: the date that a file was filed by, where another one was set since; None for most.
    """

    settings: DateSettings
    now: datetime
    first: Callable[[Kept], Date | None]


Order = Callable[[Sequence[Kept], Rules], Date | Refused]
"""What somebody asks for: the date that a set gets, of its files, the principal first."""


# --- What may be asked for ---------------------------------------------------------------------------


def to_moment(local: datetime, offset_min: int | None) -> Order:
    """The date is this one.

    Args:
        local: naive. offset_min: minutes east of UTC, None where that is not known.
    """
    return lambda files, rules: _by_hand(local, offset_min)


def by_shift(span: timedelta) -> Order:
    """The date lies so much later, or earlier: the camera's clock was wrong."""

    def order(files: Sequence[Kept], rules: Rules) -> Date | Refused:
        lead = files[0]
        if lead.taken is None:
            return Refused("has no date that could be shifted: --set gives it one")
        try:
            moment = datetime.fromisoformat(lead.taken) + span
        except OverflowError:
            return Refused("its date would lie outside of the calendar")
        return _by_hand(moment, lead.offset_min)

    return order


def by_source(source: str) -> Order:
    """The date is what this source says.

    Args:
        source: such as "filename", or the own name of a field, such as "CreateDate"; case does not count.
    """

    def order(files: Sequence[Kept], rules: Rules) -> Date | Refused:
        lead, found = files[0], stated(files)
        wanted = source.casefold()
        theirs = [one for one in found if one.candidate.source.casefold() == wanted]
        fields = [one for one in found if one.candidate.tag.casefold() == wanted]
        best = _best(lead, theirs, rules) or _best(lead, fields, rules) or _any(fields, rules)
        if best is not None:
            return best
        dates = (one.candidate for one in found if one.candidate.moment)
        told = sorted({name for one in dates for name in (one.source, one.tag)})
        others = f"only from {', '.join(told)}" if told else "nor from anything else: --set gives it one"
        return Refused(f"{lacking(source)}, {others}")

    return order


def lacking(source: str) -> str:
    """How every refusal begins of what has no date from a source."""
    return f'has no date from "{printable(source)}"'


def to_its_own(files: Sequence[Kept], rules: Rules) -> Date | Refused:
    """The date is what today's rules choose from what was found in the set; an `Order`."""
    lead = files[0]
    found, filed = stated(files), rules.first(lead) or _of(lead)
    if not stated(files[:1]):  # there were too many to be kept
        return filed
    taken, sidecar = chosen(lead, found, rules.settings, rules.now)
    if taken is None:
        return Date()
    if filed.note and (filed.source, filed.tag) == (taken.source, taken.tag):
        return filed  # more was known of that field then, such as from other pictures of the card
    return _as_date(taken, sidecar)


def _as_date(taken: Taken, sidecar: str) -> Date:
    local = taken.local.isoformat()
    return Date(local, taken.offset_minutes, taken.source, taken.confidence, taken.tag, sidecar=sidecar)


def _by_hand(moment: datetime, offset_min: int | None) -> Date | Refused:
    if moment.year < _FIRST_YEAR:
        return Refused(f"its date would lie before the year {_FIRST_YEAR}")
    return Date(moment.isoformat(), offset_min, BY_HAND, "high")


def _best(lead: Kept, found: Sequence[Stated], rules: Rules) -> Date | None:
    """The one of these that would be chosen if there were no others, and no rule against them."""
    if not found:
        return None
    source, told = found[0].candidate.source, refiling.evidence_of(lead)
    settings = DateSettings(
        rules.settings.timezone, (source,), "always" if source == "mtime" else "never", date.min
    )
    candidates = [one.candidate for one in found]
    taken = choose(candidates, settings, _EVER, make=text_of(told, "make"), model=text_of(told, "model"))
    if taken is None:
        return None
    field = (taken.source, taken.tag)
    file = next((one.file for one in found if (one.candidate.source, one.candidate.tag) == field), "")
    return _as_date(replace(taken, confidence="high"), file)


def _any(found: Sequence[Stated], rules: Rules) -> Date | None:
    """The first of these that is a date; none is chosen that is never the time of capture, but for this."""
    for one, file in found:
        if one.moment is None or not _FIRST_YEAR <= one.moment.year <= _LAST_YEAR:
            continue
        moment, offset = one.moment, one.offset_minutes
        if one.utc:
            aware = moment.replace(tzinfo=UTC).astimezone(rules.settings.timezone)
            moment, known = aware.replace(tzinfo=None), aware.utcoffset()
            offset = None if known is None else round(known / timedelta(minutes=1))
        return Date(moment.isoformat(), offset, one.source, "high", one.tag, sidecar=file)
    return None


# --- What is to be done ------------------------------------------------------------------------------


def plan(files: Sequence[Kept], order: Order, today: Today, rules: Rules, by: str) -> Change | None:
    """What gives a set another date and files it by that; None where it has that very date.

    Args:
        files: its principal first.
        by: who asks, in words.
    """
    lead = files[0]
    old = _of(lead)
    new = Refused("") if not lead.leads or lead.evidence is None else order(files, rules)
    if isinstance(new, Refused):
        refused = new.why or refiling.where(files, today).refused
        return Change(lead.bond.item or 0, _shifts(files, refused, old, old), refused)
    if new == old:
        return None
    dated = lead._replace(
        taken=new.taken, offset_min=new.offset_min, source=new.source, confidence=new.confidence
    )
    spots, refused = refiling.where([dated, *files[1:]], today)
    if not refused and any(file.digest is None for file in files):
        refused = "it was never read"
    reason = f"{_told(new)} instead of {_told(old)}, by {by}{_beware(new, rules)}"
    shifts = _shifts(files, reason, old, new)
    goes = (
        replace(shift, target=spot if spot != shift.source else None)
        for shift, spot in zip(shifts, spots, strict=True)
    )
    return Change(lead.bond.item or 0, tuple(goes), refused)


def _shifts(files: Sequence[Kept], reason: str, old: Date, new: Date) -> tuple[Shift, ...]:
    """What nothing is moved by. The principal alone has a date of its own: its companions share that."""
    return tuple(
        replace(
            file.shift("date", None, reason if number == 0 else ""),
            was={**file.state, **(old._asdict() if number == 0 else {})},
            will_be={**file.state, **(new._asdict() if number == 0 else {})},
        )
        for number, file in enumerate(files)
    )


def _of(lead: Kept) -> Date:
    told = refiling.evidence_of(lead)
    more = (text_of(told, key) for key in ("tag", "date_note", "sidecar"))
    return Date(lead.taken, lead.offset_min, lead.source, lead.confidence, *more)


def _told(dated: Date) -> str:
    """ "2021-07-10 20:39:25.77 +01:00 (exif)"."""
    if dated.taken is None:
        return "no date"
    text = dated.taken.replace("T", " ", 1)
    return f"{text.rstrip('0') if '.' in text else text}{_offset(dated.offset_min)} ({dated.source})"


def _offset(minutes: int | None) -> str:
    if minutes is None:
        return ""
    hours, rest = divmod(abs(minutes), 60)
    return f" {'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def _beware(dated: Date, rules: Rules) -> str:
    """The user's word counts, but a slip of the keyboard is worth a word."""
    if dated.taken is None:
        return ""
    moment = datetime.fromisoformat(dated.taken)
    if moment > rules.now.astimezone(rules.settings.timezone).replace(tzinfo=None) + _DAY:
        return "; beware: that lies in the future"
    if moment.date() < rules.settings.earliest:
        return f"; beware: that lies before {rules.settings.earliest}, the earliest date that is believed"
    return ""
