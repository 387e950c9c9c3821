"""`mediactl why`: the story of a file in plain words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from mediad.cli.document import say_document
from mediad.cli.output import say
from mediad.cli.paths import shown, story_of
from mediad.cli.quantities import full_text
from mediad.cli.table import Screen, screen
from mediad.control.client import Client, Reply
from mediad.control.protocol import path_fields
from mediad.errors import printable
from mediad.sizes import size_text

_Story = dict[str, Any]

_CONFIDENCE = {
    "high": "That is a date to rely on.",
    "medium": "That is very likely right, but not certain.",
    "low": "That is a guess; it may well be wrong.",
}
_SOURCES = {
    "exif": "what the camera wrote into the file",
    "quicktime": "what the camera wrote into the film",
    "xmp": "what a photo program noted",
    "takeout": "what Google Takeout tells",
    "filename": "the file's name",
    "mtime": "the time of the file itself",
}
_LAST_CHANGE = "the time of the last change that is noted in it"
_FIELDS = {"png:tIME": _LAST_CHANGE, "ModifyDate": _LAST_CHANGE}
_OF_OTHERS = {"filename": "the name of {}", "mtime": "the time of {}"}
_DONE = {
    "move": "moved to {}",
    "copy": "copied to {}",
    "hardlink": "given a second name (a hard link), {}",
    "leave": "left where it was",
    "trash": "moved to the trash, as {}",
    "quarantine": "moved to quarantine, as {}",
    "refile": "filed anew, as {}",
    "date": "given another date, as {}",
    "undo": "undone: put back to {}",
    "expire": "deleted from the trash, where its time was over: {}",
    "adopt": "taken over where it lay, {}",
}
_UNDONE = {
    "/.mediad/trash/": "undone: moved to the trash, as {}",
    "/.mediad/quarantine/": "undone: put back into quarantine, as {}",
}
_STATES = {"intent": "begun, not finished: ", "reverted": "given up and put back: ", "done": ""}
_THERE = {
    "there": "It is there, just as it was recorded.",
    "changed": "Something is there, but it was changed since.",
    "missing": "It is no longer there.",
    "unknown": "Whether it is there cannot be seen at this moment.",
}
_FOUND = {
    "edited": "that it was edited since it was filed",
    "changed": "that its content is another, though nobody seems to have written it: it may have rotted",
    "moved": "that it was moved",
    "missing": "that it was missing",
    "unreadable": "that it could not be read",
}


def why(client: Client, argument: str, *, as_json: bool) -> int:
    """Tell all that is known of a path; returns 0."""
    reply = client.call("Why", path_fields("path", story_of(argument)))
    if as_json:
        say_document(reply)
        return 0
    say("\n".join(told(reply, screen())))
    return 0


def told(reply: Reply, on: Screen) -> list[str]:
    """Every story of a path, in lines."""
    stories = reply["stories"]
    lines = [on.paint(shown(reply, "path"), "bold")]
    for number, story in enumerate(stories, 1):
        if len(stories) > 1:
            newest = ", the newest" if number == 1 else ""
            lines += ["", on.paint(f"Story {number} of {len(stories)}{newest}", "bold")]
        for paragraph in _paragraphs(story, on):
            lines += ["", *paragraph]
    if reply["waits"]:
        lines += ["", *_prose(on, f"Now: {reply['waits']}")]
    return lines


def _paragraphs(story: _Story, on: Screen) -> Iterator[list[str]]:
    yield _prose(on, what_it_is(story), where_from(story), settled(story))
    yield _prose(on, what_became(story), *(f"Beware: {doubt}." for doubt in story["doubts"]))
    if story["taken"] or story["candidates"]:
        yield [*_prose(on, date(story)), *_candidates(story, on)]
    if story["rule"]:
        yield _prose(on, rule(story["rule"]))
    if steps := [line for step in story["steps"] for line in _step(step, on)]:
        yield ["What was done:", *steps]
    yield _prose(on, where_now(story), _family(story), _digest(story), _not_compared(story))


def what_it_is(story: _Story) -> str:
    """ "This is a photo (jpeg) of 3.2 MB from Canon EOS 80D."."""
    kind = story["kind"] or "file"
    if story["code"] == "not-media" and not story["format"]:  # what only its name claims
        kind = "file"
    form = f" ({story['format']})" if story["format"] else ""
    article = "an" if kind == "audio" else "a"
    camera = f" from {_article(story['camera'])} {story['camera']}" if story["camera"] else ""
    origin = story["media_origin"]
    made = f"; by the look of it, its origin is: {origin}" if origin and origin != "camera" else ""
    noun = {"photo": "photo", "raw": "raw photo", "audio": "audio recording"}.get(kind, kind)
    film = f" A film is embedded in it ({story['motion']})." if story.get("motion") else ""
    return f"This is {article} {noun}{form} of {size_text(story['size'])}{camera}{made}.{film}"


def _article(noun: str) -> str:
    return "an" if noun[:1].lower() in "aeiou" else "a"


def where_from(story: _Story) -> str:
    """Where it was found, and when."""
    source, label = shown(story, "source"), f' labelled "{story["label"]}"' if story["label"] else ""
    seen = f" It was first seen on {_on(story['seen'])}." if story["seen"] else ""
    if not source:
        return f"It was found in the library{seen and ';'}{seen.replace(' It', ' it')}" + (
            "" if seen else "."
        )
    origin = story["origin"]  # an import's is the folder that it came from
    told = f"an import of {origin}" if origin.startswith("/") else f"the watch {origin}"
    return f"It came from {told}{label}, where it was {source}.{seen}"


def settled(story: _Story) -> str:
    """What decided that it was complete."""
    return f"What showed that it was complete: {story['settled']}." if story["settled"] else ""


def what_became(story: _Story) -> str:
    """The outcome, in a sentence or two."""
    because = f": {story['reason']}" if story["reason"] else ""
    witness = next((path for step in story["steps"] if (path := shown(step, "witness"))), "")
    same = f" The library has the same content as {witness}." if witness else ""
    beside = f" It belongs to {witness}." if witness else ""
    sentences = {
        "filed": f"It was filed{because}.{beside}",
        "duplicate": f"It is a duplicate{'' if same else because}.{same}",
        "quarantined": f"It claims to be media and cannot be read{because}.",
        "failed": f"It could not be taken{because}. It will be tried again.",
        "ignored": f"It was left alone{because}.",
        "gone": f"It left again before it was taken{because}.",
    }
    if story["code"] == "found":
        return "Mediad did not bring it; it only knows that it is there."
    if story["outcome"] == "ignored" and _waits_for_its_file(story):
        return "It tells of another file, and that has not come yet: until then it stays where it is."
    return sentences.get(story["outcome"] or "", "Nothing has been decided about it yet.")


def _waits_for_its_file(story: _Story) -> bool:
    """An orphan; one with a name that anything has is recorded as no media."""
    code, form = str(story["code"]), str(story["format"])
    return code == "orphan" or (code == "not-media" and form == "takeout")


def date(story: _Story) -> str:
    """When it was taken, who says so, and how far that can be believed."""
    if not story["taken"]:
        late = any(candidate.get("command") for candidate in story["candidates"])
        why_not = "what tells it came later" if late else "none of these dates can be believed"
        return f"When it was taken is not known: {why_not}."
    offset = f", {story['offset']} from UTC" if story["offset"] else ", local time"
    if story["taken_source"] == "user":
        return f"It was taken on {_day(story['taken'])}{offset}. You said so, with `mediactl date`."
    won: _Story = next((one for one in story["candidates"] if one["won"]), {})
    source = _source(story["taken_source"] or "", story["taken_tag"], won.get("sidecar"))
    certain = _CONFIDENCE.get(story["confidence"] or "", "")
    if story["confidence"] == "low" and story["doubts"]:
        certain = "That is a guess, for the file is damaged; it may well be wrong."
    exact = f" To be exact: {note}." if (note := story.get("date_note")) else ""
    return f"It was taken on {_day(story['taken'])}{offset}. So says {source}. {certain}{exact}"


def rule(text: str) -> str:
    """What decided on its place; the planner says "library photos: LAYOUT" or "rule 2: LAYOUT"."""
    decided, colon, layout = text.partition(": ")
    if not colon:
        return f"What decided on its place: {text}."
    name = f"the {decided}" if decided.startswith("library ") else f"{decided} of the configuration"
    return f"What decided on its place: {name}, with the layout {layout}"


def where_now(story: _Story) -> str:
    """Where it is, and whether it really is there."""
    place = shown(story, "place")
    there = _THERE.get(story["place_state"], "")
    if story["finding"]:
        there = "It is there." if story["place_state"] == "there" else there
        found = _FOUND.get(story["finding"], story["finding"])
        there += f" But `mediactl verify` found on {_on(story['finding_time'])} {found}."
    return f"Its place now is {place}. {there}" if place else ""


def _candidates(story: _Story, on: Screen) -> list[str]:
    lines = []
    for candidate in story["candidates"]:
        mark = "*" if candidate["won"] else "-"
        source = _source(candidate["source"], candidate["tag"], candidate.get("sidecar"))
        line = f"{source}: {_moment(candidate)}. {_verdict(candidate, story)}"
        lines += _prose(on, line, first=f"  {mark} ", then="    ")
    return lines


def _moment(candidate: dict[str, Any]) -> str:
    if candidate["moment"] is None:
        return f'"{candidate["raw"]}"'
    return _day(candidate["moment"]) + (f" {candidate['offset']}" if candidate["offset"] else "")


def _verdict(candidate: dict[str, Any], story: _Story) -> str:
    """Why a date was believed, or was not."""
    doubt = candidate["doubt"]
    if (command := candidate.get("command")) and (not story["taken"] or story["confidence"] == "low"):
        if story["taken"]:
            return f"Not needed; `{command}` takes it."
        return f"Not asked yet, since it came later: `{command}` takes it."
    if candidate["won"]:
        return f"Believed, with a doubt: {doubt}." if doubt else "Believed."
    if candidate["moment"] is None:
        return f"Not believed: {doubt or 'it is no possible date'}."
    if doubt:
        return f"Not believed: {doubt}."
    if story["taken_source"] == "user":
        return "Not needed: you gave another date."
    if story["taken"]:
        return "Not needed: there was a better one."
    return "Not believed: it is out of bounds, or such dates are not asked for."


def _source(source: str, tag: str, other: str | None) -> str:
    """Who states a date.

    Args:
        other: the name of the file that states it, None for the file itself.
    """
    if other and source in _OF_OTHERS:
        return _OF_OTHERS[source].format(other)
    plain = _FIELDS.get(tag) or _SOURCES.get(source, source)
    field = "" if tag in ("", source) else f" ({tag})"
    return f"{plain}{field}{f', in {other}' if other else ''}"


def _step(step: dict[str, Any], on: Screen) -> list[str]:
    done = _done(step["action"], shown(step, "destination"))
    note = f" ({step['note']})" if step["note"] else ""
    state = _STATES.get(step["state"], f"{step['state']}: ")
    numbers = f" [step {step['id']}, batch {step['batch']}]"
    return _prose(on, f"{full_text(step['time'])}  {state}{done}{note}{numbers}", first="  ", then=" " * 23)


def _done(action: str, destination: str) -> str:
    done = _DONE.get(action, f"{action}: {{}}")
    if action == "undo":
        done = next((text for part, text in _UNDONE.items() if part in destination), done)
        done = done if destination else "undone; it stays where it is"
    if action == "date" and not destination:
        return "given another date; it stays where it is"
    return (
        done.format(destination) if destination else done.partition("{}")[0].removesuffix("as ").rstrip(" ,:")
    )


def _family(story: _Story) -> str:
    names = ", ".join(story["companions"])
    return f"It belongs together with {names}." if names else ""


def _digest(story: _Story) -> str:
    return f"Its content has the SHA-256 {story['digest']}." if story["digest"] else ""


def _not_compared(story: _Story) -> str:
    reason = story.get("not_compared")
    return f"It is not compared with others, to find what looks like it: {reason}." if reason else ""


def _on(rfc3339: str) -> str:
    return full_text(rfc3339).replace(" ", " at ")


def _day(moment: str) -> str:
    return moment.replace("T", " at ", 1)


def _prose(on: Screen, *sentences: str, first: str = "", then: str = "") -> list[str]:
    """Sentences as a paragraph, wrapped on a terminal. No path is ever broken."""
    text = printable(" ".join(filter(None, (sentence.strip() for sentence in sentences))))
    if on.columns is None or not text:
        return [first + text] if text else []
    return textwrap.wrap(
        text,
        on.columns,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )
