"""Messages of the control socket, and how paths and times are written in them. PURE.

JSON cannot carry bytes. A path is text in which what is no UTF-8 is U+FFFD; where that lost something, a
field of the same name that ends in `_b64` has the exact bytes.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

TYPE_CHECKING = False  # typing's, without the milliseconds that loading it takes
if TYPE_CHECKING:
    from typing import Any

INTERFACE = "io.mediad.Control"
SERVICE = "org.varlink.service"

LONGEST_REQUEST = 1 << 20
"""Bytes, with the NUL."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)


class Failed(Exception):
    """The daemon answered with an error.

    Args:
        error: the full name, such as "io.mediad.Control.Busy".
        parameters: what the interface definition says that this error carries.
    """

    def __init__(self, error: str, parameters: Mapping[str, object]) -> None:
        super().__init__(str(parameters.get("message", error)))
        self.error = error
        self.parameters = dict(parameters)


class InvalidParameter(ValueError):
    """A call has a parameter that its method does not take, or not like this.

    Args:
        parameter: which one; dotted where it is inside of another.
    """

    def __init__(self, parameter: str) -> None:
        super().__init__(f"invalid parameter: {parameter}")
        self.parameter = parameter


# --- Messages ----------------------------------------------------------------------------------------


def encode(message: Mapping[str, object]) -> bytes:
    """A message as it travels, with its NUL.

    Raises:
        ValueError: it has a float that is no number.
    """
    return _ENCODER.encode(message).encode("ascii") + b"\0"


def decode(frame: bytes) -> dict[str, object]:
    """The message in a frame, which comes without its NUL.

    Raises:
        ValueError: it is no JSON object in UTF-8, names a key twice, has a number that no float can hold,
            half of a surrogate pair, or is nested too deep.
    """
    try:
        message = _DECODER.decode(frame.decode("utf-8"))
        if b"\\u" in frame:  # only an escape can bring in half of a surrogate pair
            _UNESCAPED.encode(message).encode("utf-8")
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - of no use to a caller who gave bytes
    return message


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_UNESCAPED = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)


# --- Paths -------------------------------------------------------------------------------------------


def path_text(path: bytes) -> str:
    """A path as text, in which what is no UTF-8 is U+FFFD."""
    return path.decode("utf-8", "replace")


def path_fields(name: str, path: bytes | None) -> dict[str, str | None]:
    """The two fields that carry a path: `name`, and `name` with `_b64`."""
    if path is None:
        return {name: None, f"{name}_b64": None}
    exact = None if _is_text(path) else _base64(path)
    return {name: path_text(path), f"{name}_b64": exact}


def path_from(value: Mapping[str, object], name: str) -> bytes | None:
    """The exact path that the two fields carry; None if neither has one.

    Raises:
        InvalidParameter: a field is none that `path_fields` could have made; a ValueError.
    """
    for field, read in ((f"{name}_b64", _from_base64), (name, _from_text)):
        if (given := value.get(field)) is not None:
            return read(given, field)
    return None


def paths_parameters(paths: Sequence[bytes]) -> dict[str, object]:
    """The parameters `paths` and `paths_b64` of a call; `paths_from` puts those of `paths` first."""
    exact = [path for path in paths if not _is_text(path)]
    return {
        "paths": [path.decode("utf-8") for path in paths if _is_text(path)],
        "paths_b64": [_base64(path) for path in exact],
    }


def paths_from(parameters: Mapping[str, object]) -> list[bytes]:
    """The paths that a call names, as `paths`, as `paths_b64` or as both, which adds up.

    Raises:
        InvalidParameter: one is empty, has a NUL, or is no base64; a ValueError.
    """
    found = []
    for field, read in (("paths", _from_text), ("paths_b64", _from_base64)):
        listed: Any = parameters.get(field) or ()
        for given in listed:
            path = read(given, field)
            if not path:
                raise InvalidParameter(field)
            found.append(path)
    return found


def _is_text(path: bytes) -> bool:
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _base64(path: bytes) -> str:
    return binascii.b2a_base64(path, newline=False).decode("ascii")


def _from_text(given: object, field: str) -> bytes:
    text: Any = given
    try:
        return _without_nul(text.encode("utf-8"))
    except (AttributeError, ValueError) as error:
        raise InvalidParameter(field) from error


def _from_base64(given: object, field: str) -> bytes:
    text: Any = given
    try:
        return _without_nul(binascii.a2b_base64(text, strict_mode=True))
    except (TypeError, ValueError) as error:
        raise InvalidParameter(field) from error


def _without_nul(path: bytes) -> bytes:
    if b"\0" in path:
        raise ValueError("no path has a NUL")
    return path


# --- Times -------------------------------------------------------------------------------------------


def time_text(micros: int | None) -> str | None:
    """A time in UTC by RFC 3339, such as "2026-11-25T10:00:00.123456Z"; with a fraction only if it has one.

    Args:
        micros: microseconds since 1970.
    """
    if micros is None:
        return None
    return (_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None).isoformat() + "Z"


def time_from(text: str) -> int:
    """Microseconds since 1970 of a time by RFC 3339, in any zone; finer parts are cut off.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(_RFC3339, text):
        raise ValueError(f"no RFC 3339 time: {text!r}")
    return (datetime.fromisoformat(text.upper()) - _EPOCH) // timedelta(microseconds=1)


def offset_text(minutes: int | None) -> str | None:
    """An offset from UTC, such as "+01:00"."""
    if minutes is None:
        return None
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"
