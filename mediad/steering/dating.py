"""`mediactl date`: what is asked for, and what has to be known to decide on it."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import anyio.to_thread
import apsw

from mediad.control.calls import Call
from mediad.control.protocol import InvalidParameter
from mediad.errors import printable
from mediad.ingest.pipeline import Pipeline
from mediad.ingest.roster import date_rules
from mediad.keeping import dating
from mediad.keeping.change import Change, Kept, Shift, Spot
from mediad.keeping.dating import Order, Rules
from mediad.keeping.refiling import Today
from mediad.media.dates import DateSettings
from mediad.media.zone import date_settings
from mediad.store import redated

_LONGEST_SOURCE = 200  # characters
_MOST_SECONDS = 9999 * 366 * 86_400.0
_ALLOWED = (
    "--use takes exif, quicktime, xmp, takeout, filename, mtime, or a field that mediactl why names, such as"
    " CreateDate"
)
_MOST_HELD = 1000  # refusals for one reason that are told as one


@dataclass(frozen=True, slots=True)
class Dating:
    """What one call asks for.

    Attributes:
        order: the date that each set gets. by: who asks.
        source: which of its dates, if it is one of these, "" else.
        label: the same in words, for its batch.
        settings: how dates are judged, by watch, "" for all others. now: the present.
    """

    order: Order
    label: str
    source: str
    by: str
    settings: dict[str, DateSettings]
    now: datetime

    @classmethod
    async def asked(cls, pipeline: Pipeline, call: Call) -> Dating:
        """Read a call.

        Raises:
            InvalidParameter: it asks for nothing, for several things at once, or for nonsense.
        """
        order, label = _order(call)
        config = pipeline.config
        zones = {"": "", **{name: watch.timezone for name, watch in config.watches.items()}}
        rules = {name: date_rules(config, zone) for name, zone in zones.items()}

        def look_up() -> dict[str, DateSettings]:  # reads time zones from disk
            return {name: date_settings(one) for name, one in rules.items()}

        settings = await anyio.to_thread.run_sync(look_up)
        source = str(call.parameters["use"] or "")
        return cls(order, label, source, f"uid {call.peer.uid}", settings, pipeline.clock.present())

    def plan(self, files: Sequence[Kept], today: Today, connection: apsw.Connection) -> Change | None:
        """What gives a set its date; see `keeping.dating.plan`."""
        settings = self.settings.get(files[0].watch, self.settings[""])
        first = functools.partial(_first, connection)
        return dating.plan(files, self.order, today, Rules(settings, self.now, first), self.by)

    async def told_once(
        self, pages: AsyncGenerator[list[Change], None]
    ) -> AsyncGenerator[list[Change], None]:
        """The same; where no set has a date from the source, as with a slip of the keyboard, one tells it."""
        held: list[Change] = []
        holding = bool(self.source)
        async with contextlib.aclosing(pages):
            async for page in pages:
                held += page
                lacks = all(one.refused.startswith(dating.lacking(self.source)) for one in page)
                if not holding or not lacks or len(held) > _MOST_HELD:
                    yield held
                    held, holding = [], False
        if len(held) > 1:
            why = f"{dating.lacking(self.source)}, nor has any other of these: {_ALLOWED}"
            held = [replace(held[0], shifts=held[0].shifts[:1], refused=why)]
        yield held


def _first(connection: apsw.Connection, lead: Kept) -> dating.Date | None:
    return None if lead.arrival is None else redated.first_date(connection, lead.arrival)


def _order(call: Call) -> tuple[Order, str]:
    """What is asked for, and that in words."""
    asked = call.parameters
    given = [name for name in ("set", "shift_s", "use") if asked[name] is not None]
    given += ["reset"] if asked["reset"] else []
    if len(given) != 1:
        raise InvalidParameter(given[1] if given else "set")
    name = given[0]
    value = asked[name]
    if name == "set":
        return _to_moment(str(value)), f"set to {value}"
    if name == "shift_s":
        return _by_shift(float(value)), f"shifted by {timedelta(seconds=abs(value))} {_where_to(value)}"
    if name == "use":
        if not value or len(value) > _LONGEST_SOURCE:
            raise InvalidParameter("use")
        return dating.by_source(str(value)), f"by {printable(str(value))}"
    return dating.to_its_own, "reset"


def _where_to(seconds: float) -> str:
    return "back" if seconds < 0 else "forward"


def _to_moment(text: str) -> Order:
    try:
        moment = datetime.fromisoformat(text)
        offset = moment.utcoffset()
    except ValueError as error:
        raise InvalidParameter("set") from error
    if "T" not in text or (offset is not None and offset % timedelta(minutes=1)):
        raise InvalidParameter("set")
    minutes = None if offset is None else offset // timedelta(minutes=1)
    return dating.to_moment(moment.replace(tzinfo=None), minutes)


def _by_shift(seconds: float) -> Order:
    if not seconds or not math.isfinite(seconds) or abs(seconds) > _MOST_SECONDS:
        raise InvalidParameter("shift_s")
    return dating.by_shift(timedelta(seconds=seconds))


# --- What cannot be dated ----------------------------------------------------------------------------


def refusals(connection: apsw.Connection, paths: Sequence[bytes]) -> list[Change]:
    """What is told of paths that are no library file's, nor have any below. Part of a unit of work."""
    return [_refusal(path, redated.why_not(connection, path)) for path in paths]


def _refusal(path: bytes, why: str) -> Change:
    nowhere = Spot(None, b"/", path.lstrip(b"/"))
    return Change(0, (Shift("date", None, 0, b"", nowhere, None, {}, {}, reason=why),), why)
