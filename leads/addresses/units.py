"""Secondary units: APT 4, # 12, BLDG 2 APT 4, REAR (USPS Publication 28, 213 and appendix C2)."""

import re
from functools import lru_cache
from typing import Final

from leads.addresses.tables import (
    DIRECTIONS,
    ORDINALS,
    PLACEHOLDERS,
    SUFFIXES,
    UNIT_ALONE,
    UNIT_ANY_IDENTIFIER,
    UNIT_INTERCHANGEABLE,
    UNIT_WORDS,
    ordinal,
)
from leads.addresses.tables import (
    words as word_set,
)
from leads.addresses.text import clean

_GLUED: Final = re.compile(
    r"(?:(APT|UNIT|STE|SUITE|BLDG|BLD|RM|ROOM|LOT|LT|REAR|TRLR|PH|PMB|FLR)([0-9][0-9A-Z/-]*)"
    r"|([0-9]+(?:ST|ND|RD|TH)?)(FL|FLR|FLOOR))"
)
_IDENTIFIER: Final = re.compile(r"[A-Z]{0,3}-?[0-9][0-9A-Z]*(?:[-/][0-9A-Z]+)*|[A-Z](?:-[A-Z0-9]+)?|([A-Z])\1")
ORDINAL: Final = re.compile(r"0*([0-9]+)(?:ST|ND|RD|TH)")
_FLOOR_WORDS: Final = frozenset({"FL", "FLR", "FLOOR"})
UNIT_ALONE_FORMS: Final = frozenset(UNIT_ALONE.values())
_SIGNS: Final = frozenset({",", "-", "(", ")"})
_DESIGNATORS: Final = (UNIT_ALONE_FORMS | frozenset(UNIT_WORDS.values())) - {"#"}
NAMED_FLOORS: Final = word_set("GROUND TOP MAIN LOWER UPPER ENTIRE WHOLE")
UNIT_NOUNS: Final = word_set("UNIT FLAT FLT APT APARTMENT HOUSE BLDG BUILDING COTTAGE HOME LEVEL")
_KEY_PIECES: Final = re.compile(r"[0-9]+|[A-Z]+|[^0-9A-Z\s-]+")


def has_digit(word: str) -> bool:
    return not word.isalpha() and any("0" <= c <= "9" for c in word)


def is_identifier(word: str) -> bool:
    """Whether `word` can name a door by itself: 5B, 12, N-5, B; no ordinal, which is a street or a floor."""
    return bool(_IDENTIFIER.fullmatch(word)) and not ORDINAL.fullmatch(word)


def unglue(words: list[str]) -> list[str]:
    """APT4B -> APT 4B, REAR230 -> REAR 230."""
    out: list[str] = []
    for word in words:
        found = _GLUED.fullmatch(word)
        out.extend((part for part in found.groups() if part) if found else (word,))
    return out


def _floor_number(word: str) -> str:
    """3RD -> 3, SECOND -> 2, 12 -> 12, else ``""``."""
    word = ORDINALS.get(word, word)
    if found := ORDINAL.fullmatch(word):
        return found[1]
    return word if word.isdigit() else ""


def read_unit(words: list[str], start: int = 0, *, open_ended: bool = True) -> tuple[list[str], int]:
    """Read unit words from `start` on: the formatted unit as words, and the index behind it.

    `open_ended` takes every word up to the end; otherwise the reading stops at the first word that cannot be
    part of a unit (a city, say).
    """
    out: list[str] = []
    i = start
    end = len(words)
    while i < end:
        word = words[i]
        following = words[i + 1] if i + 1 < end else ""
        kind = UNIT_WORDS.get(word)
        if kind == "#":
            i += 1
            if following in UNIT_WORDS or (following in UNIT_ALONE and i + 1 == end):
                continue  # "#UNIT 30", "# REAR"
            if out and out[-1] in UNIT_WORDS:
                continue  # "STE # 4"
            if following:
                out.append("#")
            continue
        if kind == "FL" and not following and out and (floor := _floor_number(out[-1]) or out[-1] in NAMED_FLOORS):
            out[-1:] = ["FL", floor if isinstance(floor, str) else out[-1]]  # "BLDG 2 3RD FL", "GROUND FL"
            i += 1
            continue
        if word == "NO" and following and has_digit(following):  # "UNIT NO 4"
            i += 1
            continue
        if kind == "FL" and len(following) > 3 and following.isdigit() and not open_ended:
            break  # Florida and a ZIP
        if kind is not None and (following or out or open_ended):
            # "APT UNIT 4": one designator is enough.
            if out and out[-1] in UNIT_INTERCHANGEABLE:
                out.pop()
            out.append(kind)
            i += 1
            continue
        if word in UNIT_ALONE and not (out and out[-1] in UNIT_WORDS and following and is_identifier(following)):
            out.append(UNIT_ALONE[word])
            i += 1
            if following in UNIT_NOUNS and i + 1 == end:  # "LOWER FLAT", "REAR HOUSE"
                i += 1
            continue
        after = words[i + 2] if i + 2 < end else ""
        if following in _FLOOR_WORDS and (floor := _floor_number(word)) and not _floor_number(after):
            out += ["FL", floor]
            i += 2
            continue
        expects = bool(out) and (out[-1] in UNIT_WORDS or out[-1] in ("REAR", "PH", "OFC", "SIDE"))
        if expects and out[-1] == "FL":
            word = _floor_number(word) or word
        if not open_ended:
            expects = expects and word not in SUFFIXES and (len(word) < 3 or has_digit(word))
        if open_ended or expects or (is_identifier(word) and word not in DIRECTIONS):
            out.append(word)
            i += 1
            continue
        break
    out = [w for w, then in zip(out, [*out[1:], ""], strict=False) if w != "#" or then not in _DESIGNATORS]
    while len(out) > 1 and (out[-1] in UNIT_INTERCHANGEABLE or out[-1] == "BLDG"):
        out.pop()  # "LOWER UNIT": a designator with nothing to designate
    if out and (out[-1] == "#" or (not open_ended and out[-1] in UNIT_INTERCHANGEABLE)):
        out.pop()
    return out, i


@lru_cache(maxsize=8192)
def normalize_unit(text: str) -> str:
    """Unit in USPS form: "Apartment 4b" -> "APT 4B", "5" -> "# 5", "2nd floor" -> "FL 2"."""
    text = clean(text)
    if text in PLACEHOLDERS:
        return ""
    return unit_text(text.split())


def unit_text(words: list[str]) -> str:
    """Words of a unit, all of them, in the form that reads the same again."""
    text = ""
    for _ in range(4):
        unit, _ = read_unit(unglue([word for word in words if word not in _SIGNS]))
        text = format_unit(unit)
        if (again := text.split()) == words:
            break
        words = again
    return text


def format_unit(words: list[str]) -> str:
    """Join unit words; a bare identifier gets ``#``, the sign for an unknown designator."""
    if not words:
        return ""
    if words[0] not in UNIT_WORDS and words[0] not in UNIT_ALONE_FORMS:
        return "# " + " ".join(words)
    if len(words) == 1 and words[0] in UNIT_WORDS:
        return "" if words[0] in UNIT_INTERCHANGEABLE else words[0]
    return " ".join(words)


@lru_cache(maxsize=8192)
def unit_key(unit: str) -> str:
    """What makes a unit the same door: APT 4, UNIT 4, STE 4 and # 4 give "4".

    Other designators stay ("FL4", "BLDG2 4", "REAR"). Spaces and hyphens count only between two numbers or
    two letters: A-2, A 2 and A2 are one door, 1-11 and 11-1 are two.
    """
    groups: list[str] = []
    prefix = ""
    identifier: list[str] = []
    for word in normalize_unit(unit).split() if unit else ():
        if word in UNIT_WORDS or word in UNIT_ALONE_FORMS:
            if prefix or identifier:
                groups.append(prefix + _squeeze(identifier))
            prefix, identifier = ("" if word in UNIT_INTERCHANGEABLE else word), []
        else:
            identifier.append(word)
    if prefix or identifier:
        groups.append(prefix + _squeeze(identifier))
    return " ".join(group for group in groups if group)


def _squeeze(words: list[str]) -> str:
    out = ""
    for word in words:
        pending = bool(out)
        for part in word.split("-"):
            for piece in _KEY_PIECES.findall(part):
                text = piece.lstrip("0") or "0" if piece.isdigit() else piece
                if pending and out and out[-1].isdigit() == text[0].isdigit():
                    out += "-"
                out += text
                pending = False
            pending = True
    return out


__all__ = [
    "NAMED_FLOORS",
    "ORDINAL",
    "UNIT_ANY_IDENTIFIER",
    "UNIT_NOUNS",
    "format_unit",
    "has_digit",
    "is_identifier",
    "normalize_unit",
    "ordinal",
    "read_unit",
    "unglue",
    "unit_key",
    "unit_text",
]
