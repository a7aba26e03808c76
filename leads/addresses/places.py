"""City, state and ZIP: apart, or run together in one cell."""

import re
from functools import lru_cache
from typing import Final

from leads.addresses.tables import (
    AMBIGUOUS_STATES,
    CITY_PLACEHOLDERS,
    STATE_CODES,
    STATE_OLD_SPELLINGS,
    STATE_ZIP_PREFIXES,
    STATES,
    ZERO_ZIP_STATES,
)
from leads.addresses.text import clean, upper

STATE_WORDS: Final[dict[str, str]] = {
    **{code: code for code in STATE_CODES},
    **STATES,
    **STATE_OLD_SPELLINGS,
    **{f"{code[0]} {code[1]}": code for code in STATE_CODES},  # "N J"
}
"""Spelling, one to three words -> code."""
_STATE_SQUEEZED: Final = {"".join(words.split()): code for words, code in STATE_WORDS.items()} | {"WASHINGTONDC": "DC"}

_ZIP: Final = re.compile(r"([0-9]{3,5})(?:\.0*)?(?: ?- ?([0-9]{0,4}))?|([0-9]{4,5})[- ]?([0-9]{4})(?:\.0*)?")
_ZIP_INSIDE: Final = re.compile(r"(?<![0-9A-Z.-])([0-9]{5})(?:-([0-9]{4}))?(?![0-9A-Z.-])")
_NOT_LETTERS: Final = re.compile(r"[^A-Z]+")
_NOT_CITY: Final = re.compile(r"[^\w &/]+|_")
_CARE_OF: Final = re.compile(r"(?:\bC/[O0]\b|%|\bATT[N]?\b ?:?|\bCARE OF\b|\bIN CARE\b).*")
_COUNTRY: Final = re.compile(r"[ ,]+(?:USA|U S A|UNITED STATES(?: OF AMERICA)?)$")


def _valid_zip(digits: str) -> str:
    digits = digits.zfill(5)
    # The lowest ZIP in use is 00501, the highest 99950; 00000 and 99999 stand for "unknown" in county files.
    return digits if "00501" <= digits <= "99950" else ""


def normalize_zip(text: str) -> tuple[str, str]:
    """ZIP and its four-digit extension, each ``""`` if missing or nonsense.

    Restores the leading zeros that spreadsheets lose ("7030", "7030.0", "70301234").
    """
    if len(text) == 5 and text.isdigit() and text.isascii():
        return _valid_zip(text), ""
    return _normalize_zip(text)


@lru_cache(maxsize=8192)
def _normalize_zip(text: str) -> tuple[str, str]:
    text = upper(text)
    if found := _ZIP.fullmatch(text):
        short, short4, long, long4 = found.groups()
        zip5, plus4 = (short, short4 or "") if short else (long, long4)
    elif inside := _ZIP_INSIDE.search(text):
        zip5, plus4 = inside[1], inside[2] or ""
    else:
        return "", ""
    zip5 = _valid_zip(zip5)
    return zip5, plus4 if zip5 and len(plus4) == 4 and plus4 != "0000" else ""


@lru_cache(maxsize=4096)
def normalize_state(text: str) -> str:
    """Two-letter code for a state, territory or military region in any usual spelling; else ``""``."""
    return _STATE_SQUEEZED.get(_NOT_LETTERS.sub("", upper(text)), "")


@lru_cache(maxsize=8192)
def normalize_city(text: str) -> str:
    """City in upper case without punctuation; SAINT at the front becomes ST; placeholders become ``""``."""
    city = upper(text)
    if city in CITY_PLACEHOLDERS:
        return ""
    city = " ".join(_NOT_CITY.sub(" ", city.replace("'", "").replace("`", "").replace("|", " ")).split())
    if city.startswith("SAINT "):
        city = "ST " + city[6:]
    # "UNKNOWN." is a placeholder as well; no letter, no city.
    return city if city not in CITY_PLACEHOLDERS and any(c.isalpha() for c in city) else ""


def take_zip(words: list[str]) -> tuple[str, str, int]:
    """ZIP at the end of `words` (cleaned): zip, plus4, and how many words it takes (0 = none).

    "00000" is taken as well, and gives blanks.
    """
    if not words:
        return "", "", 0
    last = words[-1]
    if len(last) == 5 and last.isdigit():
        return _valid_zip(last), "", 1
    if len(last) == 9 and last.isdigit() and last[:5] >= "00501":
        return (*normalize_zip(last), 1)
    if len(last) == 10 and last[5] == "-" and last[:5].isdigit() and last[6:].isdigit():
        return (*normalize_zip(last), 1)
    if len(last) == 6 and last[5] == "-" and last[:5].isdigit():
        return _valid_zip(last[:5]), "", 1
    if len(words) > 1 and last.isdigit():
        before = words[-2]
        if len(last) == 4 and len(before) == 5 and before.isdigit():
            return (*normalize_zip(before + last), 2)
        if len(last) == 4 and before in ZERO_ZIP_STATES and _zero_zip_fits("0" + last, before):
            return _valid_zip(last), "", 1  # the zero lost by a spreadsheet: "NJ 7030"
    return "", "", 0


def _zero_zip_fits(zip5: str, state: str) -> bool:
    return zip5[:2] in STATE_ZIP_PREFIXES.get(state, (zip5[:2],))


def take_state(words: list[str]) -> tuple[str, int]:
    """State at the end of `words`: code and how many words it takes (0 = none)."""
    for size in (3, 2, 1):
        if len(words) >= size and (code := STATE_WORDS.get(" ".join(words[-size:]))):
            if size == 1 and len(words) > 1 and words[-1] == "VIRGINIA" and words[-2] == "WEST":
                continue
            return code, size
    return "", 0


@lru_cache(maxsize=8192)
def split_city_state_zip(text: str) -> tuple[str, str, str, str]:
    """City, state, ZIP and plus-four of one cell: "HOBOKEN, N J  07030".

    Tolerates care-of texts and stray words after the state ("HOBOKEN, NJ OFFICE 07030"). Where no state is
    found, the whole text is the city: a foreign place stays legible.
    """
    raw = _CARE_OF.sub(_keep_zip, upper(text))
    commas = _COUNTRY.sub("", clean(raw).replace("/", " "))
    words = [w for w in commas.split() if w not in (",", "-", "(", ")")]
    if not words:
        return "", "", "", ""
    zip5, plus4, size = take_zip(words)
    rest = words[:-size] if size else words
    if size and rest and (again := take_zip(rest))[2] and len(rest) > again[2]:
        # Two ZIPs ("NJ 07306 00000"): the one beside the state.
        rest = rest[: -again[2]]
        zip5, plus4 = (again[0], again[1]) if again[0] else (zip5, plus4)
    state, size = take_state(rest)
    if size and len(rest) - size > 1 and rest[-size - 1] in STATE_CODES - AMBIGUOUS_STATES:
        rest = rest[:-size]  # "HOBOKEN, NJ FL": the second is a stray word
        state, size = take_state(rest)
    if size and size < len(rest):
        return normalize_city(" ".join(rest[:-size])), state, zip5, plus4
    if size:  # nothing but a state: NEW YORK 10036 is the city as well
        name = " ".join(rest)
        if len(name) <= 3 or (" " in name and len(rest[0]) == 1):
            return "", state, zip5, plus4
        return normalize_city(name), "NY" if name == "NEW YORK" else "", zip5, plus4
    # Words after the state ("NJ OFFICE"): take the last state code or name that has a city before it.
    for end in range(len(rest) - 1, 1, -1):
        code, size = take_state(rest[:end])
        if size and size < end and (zip5 or "," in commas) and rest[end - 1] not in ("LA", "DE", "AL"):
            return normalize_city(" ".join(rest[: end - size])), code, zip5, plus4
    return normalize_city(" ".join(rest)), "", zip5, plus4


def _keep_zip(found: re.Match[str]) -> str:
    """What stays of a care-of text inside a city cell: the ZIP at its end."""
    inside = _ZIP_INSIDE.findall(found[0])
    return " " + "-".join(part for part in inside[-1] if part) if inside else " "
