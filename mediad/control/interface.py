"""Varlink interface definitions, and whether a value is as one says. PURE.

What is checked comes out with every field of its structures: those that may be left out, and are, as None.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mediad.control.protocol import InvalidParameter as InvalidParameter


@dataclass(frozen=True, slots=True)
class Basic:
    """bool, int, float, string or object; an object may be anything but null."""

    name: str


@dataclass(frozen=True, slots=True)
class Maybe:
    """?TYPE: the value may be null, or missing."""

    of: Type


@dataclass(frozen=True, slots=True)
class Array:
    """[]TYPE"""

    of: Type


@dataclass(frozen=True, slots=True)
class Map:
    """[string]TYPE"""

    of: Type


@dataclass(frozen=True, slots=True)
class Enum:
    """(a, b, c): one of these strings."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Struct:
    """(name: TYPE, ...)"""

    fields: Mapping[str, Type]


@dataclass(frozen=True, slots=True)
class Named:
    """The name of a type."""

    name: str


Type = Basic | Maybe | Array | Map | Enum | Struct | Named


@dataclass(frozen=True, slots=True)
class Method:
    """What a method takes, and what each of its replies gives."""

    takes: Struct
    gives: Struct


@dataclass(frozen=True, slots=True)
class Interface:
    """A definition.

    Attributes:
        name: such as "io.mediad.Control". text: the definition that was parsed.
        methods, types, errors: by their names, without the interface's.
    """

    name: str
    text: str
    methods: Mapping[str, Method] = field(default_factory=dict)
    types: Mapping[str, Struct | Enum] = field(default_factory=dict)
    errors: Mapping[str, Struct] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Interface:
        """Reads a definition.

        Raises:
            ValueError: it is wrong; names the line.
        """
        return _Parser(text).interface()

    def check_call(self, method: str, parameters: Mapping[str, object]) -> dict[str, object]:
        """The parameters of a call.

        Raises:
            InvalidParameter: one is unknown, missing, or not of its type. KeyError: no such method.
        """
        return self._struct(self.methods[method].takes, parameters, "")

    def check_reply(self, method: str, parameters: Mapping[str, object]) -> dict[str, object]:
        """The parameters of a reply; raises what `check_call` raises."""
        return self._struct(self.methods[method].gives, parameters, "")

    def check_error(self, error: str, parameters: Mapping[str, object]) -> dict[str, object]:
        """The parameters of an error, named without its interface; raises what `check_call` raises."""
        return self._struct(self.errors[error], parameters, "")

    def _value(self, kind: Type, value: object, where: str) -> object:
        match kind:
            case Named(name):
                return self._value(self.types[name], value, where)
            case Maybe(of):
                return None if value is None else self._value(of, value, where)
            case Struct():
                return self._struct(kind, value, where)
            case Array(of) if isinstance(value, list | tuple):
                return [self._value(of, item, f"{where}.{i}") for i, item in enumerate(value)]
            case Map(of) if isinstance(value, dict) and all(_is_string(key) for key in value):
                return {key: self._value(of, item, f"{where}.{key}") for key, item in value.items()}
            case Enum(names) if isinstance(value, str) and value in names:
                return value
            case Basic("float") if _is_float(value):
                return float(value)  # type: ignore[arg-type]
            case Basic(name) if _BASIC[name](value):
                return value
        raise InvalidParameter(where)

    def _struct(self, kind: Struct, value: object, where: str) -> dict[str, object]:
        if not isinstance(value, Mapping):
            raise InvalidParameter(where)
        for name in value:
            if name not in kind.fields:
                raise InvalidParameter(_join(where, name))
        return {
            name: self._value(of, value.get(name), _join(where, name)) for name, of in kind.fields.items()
        }


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63


def _is_float(value: object) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))


def _is_string(value: object) -> bool:
    """Half of a surrogate pair is no text: no UTF-8 can carry it."""
    return isinstance(value, str) and (value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value))


_BASIC: Mapping[str, Callable[[object], bool]] = {
    "bool": lambda value: isinstance(value, bool),
    "int": _is_int,
    "float": _is_float,
    "string": _is_string,
    "object": lambda value: value is not None,
}


# --- Reading a definition ----------------------------------------------------------------------------

_TOKEN = re.compile(r"->|\[string\]|\[\]|[?:,()]|[A-Za-z0-9]+(?:[._-]+[A-Za-z0-9]+)*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_INTERFACE = re.compile(r"[A-Za-z](?:-*[A-Za-z0-9])*(?:\.[A-Za-z0-9](?:-*[A-Za-z0-9])*)+")
_MEMBER = re.compile(r"[A-Z][A-Za-z0-9]*")
_FIELD = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*")


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._word = ""
        self._named: dict[str, int] = {}  # the types that are spoken of, and where
        self._next()

    def interface(self) -> Interface:
        self._expect("interface")
        found = Interface(self._name(_INTERFACE), self._text, methods := {}, types := {}, errors := {})
        while self._word:
            at, kind = self._at, self._take()
            name = self._name(_MEMBER)
            if name in methods or name in types or name in errors:
                raise self._wrong(f"{name} is there twice", at)
            if kind == "method":
                takes = self._struct()
                self._expect("->")
                methods[name] = Method(takes, self._struct())
            elif kind == "type":
                types[name] = self._struct_or_enum()
            elif kind == "error":
                errors[name] = self._struct()
            else:
                raise self._wrong("expected method, type or error", at)
        for name, at in self._named.items():
            if name not in types:
                raise self._wrong(f"there is no type {name}", at)
        return found

    def _type(self, *, maybe: bool = False) -> Type:
        if self._word == "?":
            if maybe:
                raise self._wrong("?? says no more than ?")
            self._next()
            return Maybe(self._type(maybe=True))
        if self._word == "(":
            return self._struct_or_enum()
        at, word = self._at, self._take()
        if word in ("[]", "[string]"):
            return Array(self._type()) if word == "[]" else Map(self._type())
        if word in _BASIC:
            return Basic(word)
        if not _MEMBER.fullmatch(word):
            raise self._wrong("expected a type", at)
        self._named.setdefault(word, at)
        return Named(word)

    def _struct(self) -> Struct:
        found = self._struct_or_enum()
        if isinstance(found, Enum):
            raise self._wrong("expected fields with types")
        return found

    def _struct_or_enum(self) -> Struct | Enum:
        self._expect("(")
        fields: dict[str, Type | None] = {}
        while self._word != ")":
            if fields:
                self._expect(",")
            at, name = self._at, self._name(_FIELD)
            if name in fields:
                raise self._wrong(f"{name} is there twice", at)
            fields[name] = self._type() if self._accept(":") else None
        self._expect(")")
        typed = {name: kind for name, kind in fields.items() if kind is not None}
        if typed and len(typed) < len(fields):
            raise self._wrong("either all fields have types, or none")
        return Struct(typed) if typed or not fields else Enum(tuple(fields))

    def _name(self, shape: re.Pattern[str]) -> str:
        at, name = self._at, self._take()
        if not shape.fullmatch(name):
            raise self._wrong("expected a name", at)
        return name

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise self._wrong(f"expected {word}")

    def _accept(self, word: str) -> bool:
        found = self._word == word
        if found:
            self._next()
        return found

    def _take(self) -> str:
        word = self._word
        self._next()
        return word

    def _next(self) -> None:
        """Goes on to the next word; the last is followed by an empty one."""
        start = _BETWEEN.match(self._text, self._at + len(self._word))
        assert start is not None  # it matches nothing, too
        self._at = start.end()
        found = _TOKEN.match(self._text, self._at)
        if not found and self._at < len(self._text):
            raise self._wrong("this is no part of a definition")
        self._word = found.group() if found else ""

    def _wrong(self, what: str, at: int | None = None) -> ValueError:
        line = self._text.count("\n", 0, self._at if at is None else at) + 1
        return ValueError(f"line {line}: {what}")
