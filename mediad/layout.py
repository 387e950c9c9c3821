"""Layout templates, and the names that files get in a library. PURE.

A layout is the user's text with tokens in braces. What the user wrote is trusted to hold separators; what
comes out of a file (tags, names, folders) never adds one, nor a control character, a `..`, a reserved name
or a component longer than a directory entry can be. Names are decoded with surrogateescape inside, so that
bytes that are no UTF-8 come out as they went in.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from mediad.media.stems import parse

NAME_MAX = 255  # bytes; limits.h, and all that ext4, xfs, btrfs, NTFS and exFAT can hold
SPARE = 24  # bytes kept free where a name is cut anyway: numeric suffixes, temporary marks
_LONGEST_EXTENSION = 32  # bytes; what follows the last dot of a longer one is no extension

# Directives whose result is digits or a word: no separator, no locale's date format.
_DIRECTIVES = (*"aAbBCdeFfGhHIjklmMpPRSTuUVwWyY%", *(f"-{number}" for number in "dHIjmMSUVWy"))
_DIRECTIVE = re.compile(r"%(-?.?)", re.DOTALL)
_TOKEN = re.compile(r"([a-z]+)(?::([^|]*))?(?:\|(.*))?", re.DOTALL)
# C0, DEL and C1 controls and the separator; half surrogates are legal only as raw bytes of a file name.
_UNSAFE = re.compile("[\x00-\x1f/\x7f-\x9f]")
_UNSAFE_TAG = re.compile("[\x00-\x1f/\x7f-\x9f\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
# Names of devices on Windows, whatever follows the first dot (learn.microsoft.com, "Naming Files").
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3]) *(?:\..*)?|\.mediad(?:-.*)?",
    re.IGNORECASE | re.DOTALL,
)
_RESERVED_INITIALS = frozenset("cCpPaAnNlL.")
_COMPANY = re.compile(
    r"(?:camera|company|co|corp|corporation|electric|electronics|gmbh|imaging|inc|limited|ltd|optical"
    r"|technologies|techwin)[.,]*",
    re.IGNORECASE,
)


class LayoutError(ValueError):
    """A layout that cannot be used: what is wrong; what is allowed."""


@dataclass(frozen=True, slots=True)
class Values:
    """What a layout is filled in with.

    Attributes:
        taken: local capture time, or None.
        name: the file's name with its extension.
        track: its number on the record, or None.
        subdir: the folder below the watch, b"" at its top.
        digest: SHA-256 in hexadecimal.
    """

    taken: datetime | None
    name: bytes
    kind: str = ""
    origin: str = ""
    make: str = ""
    model: str = ""
    artist: str = ""
    album: str = ""
    title: str = ""
    track: int | None = None
    watch: str = ""
    label: str = ""
    subdir: bytes = b""
    digest: str = ""


_Source = Callable[[Values], str]


@dataclass(frozen=True, slots=True)
class _Piece:
    """One token. `tag` values come from inside files or from people, and must not begin a hidden name."""

    value: _Source
    default: str
    tag: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """A compiled layout; two are equal if their text is."""

    text: str
    _pieces: tuple[str | _Piece, ...] = field(compare=False, repr=False)
    keeps_extension: bool = field(compare=False, default=True)

    @classmethod
    def parse(cls, text: str) -> Layout:
        """Compiles `text`.

        Raises:
            LayoutError: what is wrong with it, and what is allowed.
        """
        if _CONTROL.search(text):
            raise LayoutError("holds a control character; printable text and tokens are allowed")
        pieces, tokens = _compile(text)
        _check_shape(text, pieces, tokens)
        last = text.rpartition("/")[2]
        return cls(text, tuple(pieces), keeps_extension=last.endswith("}") and tokens[-1] in ("name", "ext"))

    def render(self, values: Values) -> bytes:
        """The destination below the library, without a leading slash; never empty, never outside."""
        parts: list[str] = []
        start = True  # of a component
        for piece in self._pieces:
            if isinstance(piece, str):
                text = piece
            else:
                text = piece.value(values)
                if not text:
                    text = piece.default
                elif piece.tag and start and text[0] == ".":
                    text = text.lstrip(". ") or "_"
            if text:
                parts.append(text)
                start = text[-1] == "/"
        return _join("".join(parts))


def camera(make: str, model: str) -> str:
    """Make and model as people say them: "Canon EOS 7D", not "Canon Canon EOS 7D"."""
    makers, words = make.split(), model.split()
    if words and words[0].casefold() in {word.casefold() for word in makers}:
        return " ".join(words)
    brand = [word for word in makers if not _COMPANY.fullmatch(word)]
    return " ".join((brand or makers) + words)


def with_suffix(path: bytes, n: int) -> bytes:
    """`a/name.ext` -> `a/name-N.ext`, the stem shortened where the name would not fit.

    Args:
        n: 1 and up; different numbers give different names.
    """
    folder, slash, name = path.rpartition(b"/")
    stem, extension = split_name(name)
    tail = b"-%d%b" % (n, extension)
    return folder + slash + cut_name(stem, NAME_MAX - len(tail)) + tail


def companion_name(principal_src_name: bytes, principal_dst_name: bytes, companion_src_name: bytes) -> bytes:
    """What a companion is called beside its principal: a set keeps one shared stem.

    IMG_1.HEIC filed as IMG_1-1.HEIC makes IMG_1.mov IMG_1-1.mov and IMG_1.HEIC.xmp IMG_1-1.HEIC.xmp. A
    companion that was paired by something else than its name takes the principal's stem and keeps its
    extension; so does what its camera gave another name, but for edits, which still show that they are.
    """
    stem = split_name(principal_src_name)[0]
    new_stem = split_name(principal_dst_name)[0]
    if rest := _after(principal_src_name, companion_src_name):
        base = principal_dst_name
    elif rest := _after(stem, companion_src_name):
        base = new_stem
    else:
        base, rest = _by_kin(principal_dst_name, new_stem, companion_src_name)
    rest = _encode(_UNSAFE.sub("_", _decode(rest)))[-(NAME_MAX - SPARE) :]
    return _encode(_component(_decode(cut_name(base, NAME_MAX - len(rest)) + rest), last=True))


def name_key(path: bytes) -> str:
    """The key under which names are compared: NFC and case-folded; raw bytes stay as surrogates.

    Canonical caseless matching (Unicode, D145), then composed.
    """
    text = _decode(path)
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def key_of(path: bytes) -> bytes:
    """`name_key` as bytes, the form in which names are stored."""
    return name_key(path).encode("utf-8", "surrogateescape")


def split_name(name: bytes) -> tuple[bytes, bytes]:
    """Stem and extension with its dot; a leading dot begins no extension, nor does one far from the end."""
    dot = name.rfind(b".")
    if not name[:dot].strip(b".") or dot < 0 or len(name) - dot > _LONGEST_EXTENSION:
        return name, b""
    return name[:dot], name[dot:]


def _by_kin(principal: bytes, stem: bytes, companion: bytes) -> tuple[bytes, bytes]:
    """What the name of a companion is made of whose own does not begin as its principal's did."""
    name = parse(companion)
    extension = split_name(companion)[1]
    if name.extension.lower() == ".json" and name.base:
        return principal, extension
    if name.part in ("E", "e", "O", "o"):
        letter = _encode(name.part)
        if stem[:4].lower() == b"img_" and stem[4:8].isdigit():
            return stem[:4] + letter + stem[4:], extension
        return stem, b"-edited" + extension
    if name.part.startswith("-"):
        return stem, _encode(name.part) + extension
    if stem.lower().endswith(extension.lower()):  # PXL_1.MP is the film of PXL_1.MP.jpg
        return stem, b""
    return stem, extension


def _after(prefix: bytes, name: bytes) -> bytes:
    """What follows `prefix` in `name`, ASCII case aside; b"" where another word begins instead."""
    rest = name[len(prefix) :]
    if not rest or name[: len(prefix)].lower() != prefix.lower() or rest[:1].isalnum():
        return b""
    return rest


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _join(text: str) -> bytes:
    parts = [part for part in text.split("/") if part]
    last = len(parts) - 1
    cleaned = [_component(part, last=index == last) for index, part in enumerate(parts)]
    return _encode("/".join([part for part in cleaned if part]) or "_")


def _component(text: str, *, last: bool) -> str:
    """A name that every filesystem can hold; "" for a folder of blanks only."""
    if text[-1:] in (".", " "):
        text = text.rstrip(". ") or ("_" if last or "." in text else "")
    if text[:1] in _RESERVED_INITIALS and _RESERVED.fullmatch(text):
        text = "_" + text
    if len(text) * 4 <= NAME_MAX:
        return text
    data = _encode(text)
    return text if len(data) <= NAME_MAX else _decode(_shorten(data, last=last))


def _shorten(name: bytes, *, last: bool) -> bytes:
    stem, extension = split_name(name) if last else (name, b"")
    return cut_name(stem, NAME_MAX - SPARE - len(extension)).rstrip(b". ") + extension


def cut_name(name: bytes, limit: int) -> bytes:
    """At most `limit` bytes of `name`, not ending inside a UTF-8 character."""
    if len(name) <= limit:
        return name
    end = limit
    while end > limit - 4 and name[end] & 0xC0 == 0x80:
        end -= 1
    return name[:end]


def _compile(text: str) -> tuple[list[str | _Piece], list[str]]:
    pieces: list[str | _Piece] = []
    tokens: list[str] = []
    for literal, token in _split(text):
        if literal:
            pieces.append(literal)
        if token is not None:
            name, piece = _token(token)
            pieces.append(piece)
            tokens.append(name)
    return pieces, tokens


def _split(text: str) -> list[tuple[str, str | None]]:
    """Pairs of literal text and the token that follows it; `{{` and `}}` are literal braces."""
    found: list[tuple[str, str | None]] = []
    literal, at = "", 0
    while at < len(text):
        char = text[at]
        if char in "{}" and text[at : at + 2] == char * 2:
            literal, at = literal + char, at + 2
        elif char == "{":
            end = text.find("}", at)
            if end < 0:
                raise LayoutError(f"{text[at:]!r} has no closing brace; tokens are {{NAME}}, a brace is {{{{")
            token = text[at + 1 : end]
            if "{" in token:
                raise LayoutError(f"{{{token} has a token inside; what follows | is plain text")
            found.append((literal, token))
            literal, at = "", end + 1
        elif char == "}":
            raise LayoutError("a closing brace without an opening one; write }} for a brace")
        else:
            literal, at = literal + char, at + 1
    return [*found, (literal, None)]


def _token(text: str) -> tuple[str, _Piece]:
    match = _TOKEN.fullmatch(text)
    name, argument, default = match.groups() if match else (text, None, None)
    if name not in TOKENS:
        known = ", ".join(f"{{{token}}}" for token in TOKENS)
        raise LayoutError(f"unknown token {{{text}}}; known are {known}")
    if name in _WITH_ARGUMENT:
        value = _WITH_ARGUMENT[name](argument)
    elif argument is not None:
        raise LayoutError(
            f"{{{name}}} takes nothing after a colon; only {{taken:}}, {{track:}} and {{digest:}} do"
        )
    else:
        value = _PLAIN[name]
    return name, _Piece(value, default or "", tag=name not in _ORIGINAL)


def _check_shape(text: str, pieces: list[str | _Piece], tokens: list[str]) -> None:
    if not {"name", "stem", "digest"}.intersection(tokens):
        raise LayoutError(
            "has neither {name}, {stem} nor {digest}; one of them is needed to tell files apart"
        )
    if text.startswith("/"):
        raise LayoutError("begins with a slash; a layout is relative to its library")
    if text.endswith("/"):
        raise LayoutError("ends with a slash; the last part names the file")
    blanked = "".join(piece if isinstance(piece, str) else "\0" for piece in pieces)
    for part in blanked.split("/"):
        if part and part != _component(part, last=False):
            raise LayoutError(
                f"{part!r} cannot name a folder; reserved names (.mediad, CON, ...), dots alone"
                " and trailing dots or blanks are not allowed"
            )


def _taken(argument: str | None) -> _Source:
    pattern = argument or ""
    for directive in _DIRECTIVE.findall(pattern):
        if directive not in _DIRECTIVES:
            allowed = " ".join("%" + known for known in _DIRECTIVES)
            raise LayoutError(
                f"{{taken:{pattern}}} has the unknown directive %{directive}; allowed are {allowed}"
            )
    if "%" not in pattern.replace("%%", ""):
        raise LayoutError("{taken} needs a strftime pattern, such as {taken:%Y-%m-%d}")
    if pattern.isascii():
        return lambda values: values.taken.strftime(pattern) if values.taken else ""
    # the C library sees only what is ASCII: what it does with the rest depends on the locale
    return lambda values: _strftime(pattern, values.taken)


def _strftime(pattern: str, moment: datetime | None) -> str:
    return _DIRECTIVE.sub(lambda match: moment.strftime(match[0]), pattern) if moment else ""


def _track(argument: str | None) -> _Source:
    if argument is not None and not re.fullmatch("0?[1-9]", argument):
        raise LayoutError(f"{{track:{argument}}} has no such width; {{track:02}} pads to two digits")
    width = argument or ""
    return lambda values: "" if values.track is None or values.track < 0 else format(values.track, width)


def _digest(argument: str | None) -> _Source:
    if argument is None:
        return lambda values: _tag(values.digest)
    if not re.fullmatch("[0-9]{1,2}", argument) or not 1 <= int(argument) <= 64:
        raise LayoutError(f"{{digest:{argument}}} has no such length; 1 to 64 digits are allowed")
    length = int(argument)
    return lambda values: _tag(values.digest[:length])


def _original(data: bytes) -> str:
    return _UNSAFE.sub("_", _decode(data))


def _subdir(values: Values) -> str:
    return _CONTROL.sub("_", _decode(values.subdir))


def _tag(text: str) -> str:
    return _UNSAFE_TAG.sub("_", text.strip("\0").strip())


_PLAIN: dict[str, _Source] = {
    "name": lambda values: _original(values.name),
    "stem": lambda values: _original(split_name(values.name)[0]),
    "ext": lambda values: _original(split_name(values.name)[1]).lower(),
    "kind": lambda values: _tag(values.kind),
    "origin": lambda values: _tag(values.origin),
    "make": lambda values: _tag(values.make),
    "model": lambda values: _tag(values.model),
    "camera": lambda values: _tag(camera(values.make, values.model)),
    "artist": lambda values: _tag(values.artist),
    "album": lambda values: _tag(values.album),
    "title": lambda values: _tag(values.title),
    "watch": lambda values: _tag(values.watch),
    "label": lambda values: _tag(values.label),
    "subdir": _subdir,
}
_WITH_ARGUMENT = {"taken": _taken, "track": _track, "digest": _digest}
_ORIGINAL = frozenset({"name", "stem", "subdir"})
TOKENS = (*_WITH_ARGUMENT, *_PLAIN)
