"""One delivery line, already cleaned and split into words, to USPS form.

The order of work: house number, boxes and rural routes, highways, unit, then direction, name, suffix and
direction (USPS Publication 28, chapters 2 and appendices C and F). All functions take cleaned words, see
`leads.addresses.text.clean`.
"""

import re
from typing import Final, NamedTuple

from leads.addresses.places import STATE_WORDS
from leads.addresses.tables import (
    DIRECTIONAL_CITIES,
    DIRECTIONS,
    EXPAND_BEFORE_SUFFIX,
    EXPAND_FIRST,
    EXPAND_INSIDE,
    LATE_DIRECTIONS,
    NAME_TAKES_NUMBER,
    ORDINAL_ONES,
    ORDINALS,
    SAINT_CITIES,
    STRONG_WORDS,
    SUFFIXES,
    TENS,
    UNIT_AFTER_SUFFIX_ONLY,
    UNIT_ALONE,
    UNIT_ALONE_AFTER_NAME,
    UNIT_ANY_IDENTIFIER,
    UNIT_INTERCHANGEABLE,
    UNIT_WORDS,
    ordinal,
)
from leads.addresses.tables import (
    words as word_set,
)
from leads.addresses.units import (
    NAMED_FLOORS,
    ORDINAL,
    UNIT_NOUNS,
    has_digit,
    is_identifier,
    read_unit,
    unglue,
    unit_text,
)

_UNIT_START: Final = frozenset(UNIT_WORDS) | frozenset(UNIT_ALONE)
_COMPASS_PAIRS: Final = {(a, b): a + b for a in "NS" for b in "EW"}
_SPELLED_PAIRS: Final = {
    (a, b): DIRECTIONS[a] + DIRECTIONS[b] for a in ("NORTH", "SOUTH") for b in ("EAST", "WEST")
} | _COMPASS_PAIRS
_FRACTIONS: Final = frozenset({"1/2", "1/4", "3/4", "1/3", "2/3"})

_NUMBER: Final = re.compile(r"([0-9]+)-*([A-Z]{0,3})((?:-+[0-9]+[A-Z]{0,2})*)")
_NUMBER_ORDINAL: Final = re.compile(r"([0-9]+[A-Z]?)-([0-9]+(?:ST|ND|RD|TH))")
_NUMBER_FRACTION: Final = re.compile(r"([0-9]+)-([1-3]/[2-4])")
_NUMBER_DECIMAL: Final = re.compile(r"0*([0-9]+\.[0-9]+)")
_GRID: Final = re.compile(r"[NSEW][0-9]+-?[NSEW][0-9]+[A-Z]?|[NSEW][0-9]{3,}[A-Z]?")
_GRID_HALF: Final = re.compile(r"[NSEW][0-9]+")
_GRID_COORDINATE: Final = re.compile(r"([0-9]+)([NSEW])")
_GLUED_DIRECTION: Final = re.compile(r"^(ST|AVE|AV|RD|DR|LN|BLVD)(NORTH|SOUTH|EAST|WEST)$")
_LETTER_O: Final = re.compile(r"([0-9]+)O(TH)")

_BOX: Final = re.compile(
    r"(?P<kind>P ?O ?B(?:OX|X)?|P ?O ?DRAWER|P ?O|POST OFFICE(?: BOX| DRAWER)?|BOX) ?(?:# ?|NO )?"
    r"(?P<id>(?=[A-Z-]*[0-9])[0-9A-Z-]+|[A-Z](?= |$))(?: |$)"
)
_ROUTE: Final = re.compile(
    r"(?P<kind>RR|R R|RURAL (?:ROUTE|RTE|RT)|RFD|RF D|RD|RT|RTE|ROUTE|HC|HCR|H C|HIGHWAY CONTRACT(?: ROUTE)?|"
    r"STAR (?:ROUTE|RTE|RT)) ?(?:# ?|NO )?(?P<number>[0-9]+[A-Z]?)?(?: ?BOX ?(?:# ?|NO )?(?P<box>[0-9A-Z-]+))?(?: |$)"
)
# "East side of", "north-east corner": words of surveyors, and of nobody's street.
_LEGAL: Final = re.compile(
    r"[^0-9].*\b(?:NS|SS|ES|WS|NES|NWS|SES|SWS|NEC|NWC|SWC|R/W|END OF)\b"
    r"|(?:NS|SS|ES|WS|NES|NWS|SES|SWS|NEC|NWC|SEC|SWC|COR) (?![0-9]+$)"
    r"|AT A POINT\b|(?:FORMER )?BED |PORTION OF |REAR OF |REAR - "
    r"|[^0-9].*\b[0-9]+(?:-[0-9]+)? ?(?:FT|FEET)\b.* (?:OF|N|S|E|W|NE|NW|SE|SW|NORTH|SOUTH|EAST|WEST|ALLEY)\b"
    # Behind a number, FT may be a fort: "100 FT WAYNE AVE E".
    r"|[0-9].*\b[0-9]+(?:-[0-9]+)? ?(?:FT|FEET)\b.* OF\b|[0-9]+(?:-[0-9]+)? ?(?:FT|FEET)\b.* (?:OF|ALLEY)\b"
)
_PADDING: Final = re.compile(r"(?<=[A-Z])0000(?![0-9])")
_GLUED_FEET: Final = re.compile(r"(?<=[0-9])(?=FT\b)")
_LEGAL_LEAVE: Final = frozenset({"LA", "AL", "CR", "WAY", "WALK"})

_OLD: Final = frozenset({"OLD", "NEW"})
_ROAD_WORDS: Final = {
    "ROAD": "ROAD",
    "RD": "ROAD",
    "HIGHWAY": "HIGHWAY",
    "HWY": "HIGHWAY",
    "HIWAY": "HIGHWAY",
    "HWAY": "HIGHWAY",
    "ROUTE": "ROUTE",
    "RTE": "ROUTE",
    "RT": "ROUTE",
}
_HIGHWAY_NUMBER: Final = re.compile(r"0*([0-9]{1,4}(?:/[0-9]{1,4})?-?[A-Z]{0,2})")
_HIGHWAY_GLUED: Final = re.compile(r"(I|US|SR|CR|FM|SH|RT|RTE|HWY)-?([0-9]+[A-Z]?)")
_HIGHWAY_LETTERS: Final = re.compile(r"[A-Z]{1,2}")
_COUNTY_LETTER: Final = re.compile(r"[A-DF-MO-RT-VX-Z]|([A-Z])\1")
_BESIDE_HIGHWAY: Final = frozenset({"FRONTAGE", "SERVICE", "ACCESS", "FEEDER"})
_HIGHWAY_START: Final = word_set(
    """
    OLD NEW US U I IH INTERSTATE STATE ST SR SH S COUNTY CO CNTY CTY CR C CTH FM FARM RM RANCH ROUTE RTE RT
    HIGHWAY HWY HIWAY TOWNSHIP TWP
    """
) | frozenset(STATE_WORDS)
_HIGHWAY_TAIL: Final = {
    **DIRECTIONS,
    "BYPASS": "BYP",
    "BYP": "BYP",
    "BUSINESS": "BUS",
    "BUS": "BUS",
    "ALT": "ALT",
    "ALTERNATE": "ALT",
    "TRUCK": "TRUCK",
    "EXT": "EXT",
    "SPUR": "SPUR",
}


class Street(NamedTuple):
    """A delivery line in parts; `line` holds number and street, without the unit."""

    line: str
    number: str
    unit: str
    is_parsed: bool


def is_legal_description(text: str) -> bool:
    """Whether the cleaned text describes land by distances ("ES MAIN ST 110 FT N OF OAK")."""
    return (" FT" in text or "FEET" in text or not text[:1].isdigit()) and _LEGAL.match(text) is not None


def legal_line(text: str) -> str:
    """A legal description with its directions and common suffixes in one spelling."""
    text = _GLUED_FEET.sub(" ", _PADDING.sub("", text))
    return " ".join(
        SUFFIXES[word] if word in STRONG_WORDS and word not in _LEGAL_LEAVE else DIRECTIONS.get(word, word)
        for word in text.split()
        if word not in (",", "(", ")", "#", "-")
    )


# House numbers ------------------------------------------------------------------------------------------


def read_number(words: list[str]) -> tuple[str, list[str]]:
    """House number at the front of `words`, and the words after it. The number is ``""`` if there is none.

    "0008" gives "8" and "0000" gives "" (its word is taken all the same); "1312 1/2", "12.5", "1109-1121", "12A"
    and "N95W18855" stay whole; "54 & 56" and "123 - 125" become ranges.
    """
    first = words[0]
    if first.isdigit():
        number = first.lstrip("0")
    elif first[0].isdigit():
        if found := _NUMBER_ORDINAL.fullmatch(first):
            return found[1].lstrip("0"), [found[2], *words[1:]]
        if found := _NUMBER_FRACTION.fullmatch(first):
            return f"{found[1].lstrip('0')} {found[2]}", words[1:]
        if found := _GRID_COORDINATE.fullmatch(first):  # "48S 400E"
            if len(words) > 1 and _GRID_COORDINATE.fullmatch(words[1]):
                return found[1].lstrip("0"), [found[2], *words[1:]]
        elif ORDINAL.fullmatch(first):
            return "", words
        if (found := _NUMBER_DECIMAL.fullmatch(first)) and _is_name_behind(words):
            return found[1], words[1:]
        found = _NUMBER.fullmatch(first)
        if not found:
            return "", words
        more = re.sub("-+", "-", found[3])
        if first[0] == "0" and len(found[3]) == len(found[1]) + 1:  # "0105-0107" is padded, "300-08" is not
            more = re.sub("-0+", "-", more)
        number = found[1].lstrip("0") + found[2] + more
        if not any(c in "123456789" for c in number):
            number = ""
    elif first[0] in "NSEW" and len(words) > 1 and _GRID.fullmatch(first):
        if len(words) > 2 and _GRID_HALF.fullmatch(first) and _GRID_HALF.fullmatch(words[1]):
            return first + words[1], words[2:]
        return first.replace("-", ""), words[1:]
    elif len(words) > 2 and _GRID_HALF.fullmatch(first) and _GRID_HALF.fullmatch(words[1]):
        return first + words[1], words[2:]
    elif first == "ONE" and len(words) > 2 and words[1] != "MILE" and words[-1] in SUFFIXES:
        return "1", words[1:]
    else:
        return "", words
    i = 1
    size = len(words)
    if i < size and words[i] in _FRACTIONS and i + 1 < size and words[i + 1] not in SUFFIXES:
        return (f"{number} {words[i]}" if number else words[i]), words[i + 1 :]
    while i + 1 < size and number:
        joint = words[i] in ("-", "&", "AND")
        following = words[i + 1] if joint else words[i]
        step = 2 if joint else 1
        if not following[0].isdigit() or not _NUMBER.fullmatch(following) or ORDINAL.fullmatch(following):
            break
        after = words[i + step :]
        if not joint and not _is_second_number(number, following, after):
            break
        if not after:
            break
        number = f"{number}-{following}"
        i += step
    return number, words[i:]


def _is_name_behind(words: list[str]) -> bool:
    """Whether "12.5" at the front has a street behind it; "39.2 RD" is itself a road."""
    return len(words) > 1 and (words[1] not in SUFFIXES or (len(words) > 2 and words[-1] in STRONG_WORDS))


def _is_second_number(number: str, following: str, after: list[str]) -> bool:
    """Whether "1280 1290 E LIMIT" names two houses, and not house 1280 on street 1290."""
    last = number.rsplit("-", 1)[-1]
    if not (following.isdigit() and last.isdigit() and len(following) == len(last) >= 2):
        return False
    if not 0 < int(following) - int(last) <= (10 if len(last) == 2 else 200):
        return False
    street = [word for word in after if word not in DIRECTIONS]
    return (
        bool(street)
        and street[0] not in STRONG_WORDS
        and street[0] != "MILE"
        and not (len(street) == 1 and street[0] in SUFFIXES)
    )


# Boxes and routes ---------------------------------------------------------------------------------------


def read_box(text: str) -> tuple[str, str] | None:
    """PO box at the front of the cleaned text, and the text after it."""
    found = _BOX.match(text)
    if not found:
        return None
    kind, identifier = found["kind"], found["id"]
    if kind == "BOX" and identifier.isalpha():
        return None
    if not has_digit(identifier) and "B" not in kind and "DRAWER" not in kind:
        return None  # "PO A": too little
    if kind.replace(" ", "") == "PO" and not identifier.isdigit():
        return None
    return f"PO BOX {identifier.strip('-').lstrip('0') or '0'}", text[found.end() :]


def read_rural_route(text: str) -> tuple[str, str] | None:
    """Rural or contract route at the front ("RFD 2 BOX 15" -> "RR 2 BOX 15"), and the text after it."""
    found = _ROUTE.match(text)
    if not found:
        return None
    kind, number, box = found["kind"].replace(" ", ""), found["number"], found["box"]
    if kind in ("RD", "RT", "RTE", "ROUTE") and not (number and box):
        return None
    if (not number and not box) or (not number and kind[:4] != "STAR"):
        return None
    if not box and kind not in ("RR", "RFD", "HC", "HCR", "RURALROUTE", "RURALRTE", "RURALRT"):
        return None
    short = "HC" if kind[0] in "HS" else "RR"
    words = [short, (number or "").lstrip("0")]
    if box:
        words += ["BOX", box.lstrip("0") or "0"]
    return " ".join(word for word in words if word), text[found.end() :]


# Highways -----------------------------------------------------------------------------------------------


def read_highway(words: list[str], start: int) -> tuple[list[str], int] | None:
    """Numbered road at `start` in one spelling, and the index behind it (appendix F).

    "SR 7", "ST RT 7", "STATE RD 7" and "STATE HWY 7" all become STATE ROUTE 7: sources of one county
    disagree on the word, never on the number.
    """
    i = start
    size = len(words)
    prefix: list[str] = []
    if i < size and words[i] in _OLD:
        prefix.append(words[i])
        i += 1
    if i >= size:
        return None
    first = words[i]
    if found := _HIGHWAY_GLUED.fullmatch(first):
        words = [*words[:i], found[1], found[2], *words[i + 1 :]]
        size += 1
        first, shift = found[1], 1
    else:
        shift = 0
    second = words[i + 1] if i + 1 < size else ""
    third = words[i + 2] if i + 2 < size else ""
    road = _ROAD_WORDS.get(second)
    letters = loose = False
    if first == "U" and second == "S" and (third in _ROAD_WORDS or third.isdigit()):
        name, i, loose = "US HIGHWAY", i + (3 if third in _ROAD_WORDS else 2), third not in _ROAD_WORDS
    elif first == "US":
        name, i, loose = "US HIGHWAY", i + (2 if road else 1), not road
    elif first in ("I", "IH", "INTERSTATE"):
        name, i = "INTERSTATE", i + (2 if road else 1)
    elif first in ("STATE", "ST") and road:
        name, i, letters = "STATE ROUTE", i + 2, first == "STATE"
    elif first in ("SR", "SH"):
        name, i = "STATE ROUTE", i + 1
    elif first == "S" and second == "R" and third.isdigit():
        name, i = "STATE ROUTE", i + 2
    elif first in ("COUNTY", "CO", "CNTY", "CTY") and road:
        # Wisconsin's roads have letters; "COUNTY RD N" may be the north of one.
        is_lettered = _COUNTY_LETTER.fullmatch(third) is not None and third not in _UNIT_START
        name, i, letters = f"COUNTY {road}", i + 2, road == "HIGHWAY" or is_lettered
    elif first == "CR":
        name, i = "COUNTY ROAD", i + 1
    elif first == "C" and second == "R" and third.isdigit():
        name, i = "COUNTY ROAD", i + 2
    elif first == "CTH":
        name, i, letters = "COUNTY HIGHWAY", i + 1, True
    elif first in ("TOWNSHIP", "TWP") and road:
        name, i = f"TOWNSHIP {road}", i + 2
    elif first in ("FARM", "RANCH") and second == "TO" and third == "MARKET":
        name, i = ("FM" if first == "FARM" else "RM"), i + 3
        if i < size and words[i] in _ROAD_WORDS:
            i += 1
    elif first in ("FM", "RM"):
        name, i = first, i + (2 if road else 1)
    elif first == "RANCH" and road == "ROAD":
        name, i = "RANCH ROAD", i + 2
    elif first in ("ROUTE", "RTE", "RT"):
        name, i = "ROUTE", i + 1
    elif first in ("HIGHWAY", "HWY", "HIWAY"):
        name, i, letters = "HIGHWAY", i + 1, True
    elif (code := STATE_WORDS.get(first)) and road in ("HIGHWAY", "ROUTE"):
        name, i = f"{code} {road}", i + 2
    elif len(first) == 2 and first in STATE_WORDS and second.isdigit() and third in ("HWY", "HIGHWAY"):
        name, i, loose = f"{first} HIGHWAY", i + 1, True  # "NC 42 HWY"
    elif (code := STATE_WORDS.get(f"{first} {second}")) and _ROAD_WORDS.get(third) in ("HIGHWAY", "ROUTE"):
        name, i = f"{code} {_ROAD_WORDS[third]}", i + 3
    else:
        return None
    while i < size and words[i] in ("#", "NO", "NUMBER"):
        i += 1
    if i >= size:
        return None
    number = words[i]
    if number[0].isdigit():
        found = _HIGHWAY_NUMBER.fullmatch(number)
        if not found or ORDINAL.fullmatch(number):
            return None
        number = found[1].replace("-", "")
    elif not (letters and _HIGHWAY_LETTERS.fullmatch(number) and number not in SUFFIXES):
        return None
    i += 1
    if loose and i < size and _ROAD_WORDS.get(words[i]) in ("HIGHWAY", "ROUTE"):
        i += 1  # "US 401 HWY S"
    if i < size and number.isdigit() and len(words[i]) == 1 and words[i] not in DIRECTIONS and words[i].isalpha():
        # "NH ROUTE 4 A"; a unit letter there is as rare, and the road is what decides the place.
        number += words[i]
        i += 1
    if i + 1 < size and words[i] in ("/", "&") and words[i + 1].isdigit():
        number, i = f"{number}/{words[i + 1]}", i + 2
    out = [*prefix, *name.split(), number]
    if i < size and words[i] in ("RD", "ROAD"):
        i += 1  # "FM 1960 RD" is FM 1960
    while i < size:
        if words[i] in _HIGHWAY_TAIL:
            out.append(_HIGHWAY_TAIL[words[i]])
            i += 1
        elif words[i] in _BESIDE_HIGHWAY and i + 1 < size and words[i + 1] in ("RD", "ROAD"):
            out += [words[i], "RD"]
            i += 2
        else:
            break
    return out, i - shift


# Street names -------------------------------------------------------------------------------------------


def _take_directions(words: list[str]) -> tuple[str, list[str]]:
    """Direction at the front, when a name is left behind it."""
    first = words[0]
    direction = DIRECTIONS.get(first)
    if direction is None or len(words) < 2:
        return "", words
    if len(words) > 2 and (pair := _SPELLED_PAIRS.get((first, words[1]))):
        # "N E ST" is E Street North; "NORTH EAST ST" is East Street North.
        rest = words[2:]
        if not (len(rest) == 1 and rest[0] in STRONG_WORDS):
            return pair, rest
    return direction, words[1:]


def _name(words: list[str], *, has_suffix: bool) -> list[str]:
    """A street's name in one spelling: ordinals in digits, SAINT spelled out, abbreviations inside spelled out."""
    first = words[0]
    size = len(words)
    if size == 1:
        if first in ORDINALS:
            return [ORDINALS[first]]
        if first[0].isdigit():
            if found := ORDINAL.fullmatch(first):
                return [ordinal(int(found[1]))]
            if has_suffix and first.isdigit():
                return [ordinal(int(first))]
            if found := _LETTER_O.fullmatch(first):
                return [ordinal(int(found[1] + "0"))]
        return [EXPAND_FIRST[first]] if has_suffix and first in EXPAND_FIRST else words
    if "&" in words:
        words = ["AND" if word == "&" else word for word in words]
    if size == 2:
        if first in TENS and words[1] in ORDINAL_ONES:
            return [ordinal(TENS[first] + ORDINAL_ONES[words[1]])]
        if first.isdigit() and words[1] in ("TH", "ST", "ND", "RD") and has_suffix:
            return [ordinal(int(first))]
    if first == "ST" and words[1] not in SUFFIXES and (size > 2 or words[1] not in DIRECTIONS):
        words = ["SAINT", *words[1:]]
    elif size > 2 and "ST" in words[1:-1]:
        i = words.index("ST", 1)
        if words[i - 1] in _BEFORE_SAINT and has_suffix:
            words = [*words[:i], "SAINT", *words[i + 1 :]]
    if has_suffix and words[-1] in EXPAND_BEFORE_SUFFIX:
        words = [*words[:-1], EXPAND_BEFORE_SUFFIX[words[-1]]]
    if any(word in EXPAND_INSIDE for word in words):
        words = [EXPAND_INSIDE.get(word, word) for word in words]
    if words[0] in EXPAND_FIRST:
        words = [EXPAND_FIRST[words[0]], *words[1:]]
    if has_suffix and "PT" in words[1:]:  # in front it may be PORT
        words = [words[0], *("POINT" if word == "PT" else word for word in words[1:])]
    return words


_BEFORE_SAINT: Final = word_set("PORT MOUNT MT FORT FT LAKE OLD NEW BAY CAPE RUE PLACE POINT PT")


def street_words(words: list[str]) -> list[str]:
    """Direction, name, suffix, direction in USPS form. `words` holds no number and no unit."""
    size = len(words)
    last = words[-1]
    post = ""
    # "AVENUE N", "E AVE C": the letter is the name.
    if size >= 2 and len(last) == 1 and last.isalpha() and words[-2] in ("AVENUE", "AVE", "AV"):
        front = words[:-2]
        if all(word in DIRECTIONS and (len(word) < 3 or last not in DIRECTIONS) for word in front):
            return [*(DIRECTIONS[word] for word in front), "AVENUE", last]
    if last in DIRECTIONS and size > 2:
        pair = _SPELLED_PAIRS.get((words[-2], last))
        if pair and size > 3 and words[-3] in SUFFIXES:
            post, words = pair, words[:-2]
        elif words[-2] in SUFFIXES or words[-2].isdigit():
            post, words = DIRECTIONS[last], words[:-1]
    elif size == 2 and last in DIRECTIONS and words[0].isdigit():
        return [words[0], DIRECTIONS[last]]
    elif size > 2 and last in ("NO", "SO") and words[-2] in SUFFIXES:
        post, words = LATE_DIRECTIONS[last], words[:-1]
    if size == 2 and words[0] in DIRECTIONS and (grid := _GRID_COORDINATE.fullmatch(words[1])):
        return [DIRECTIONS[words[0]], grid[1], grid[2]]  # "S 400E", a grid street in Utah
    last = words[-1]
    size = len(words)
    suffix = ""
    if size > 1 and last in SUFFIXES and words[-2] != "THE":
        front = words[:-1]
        only_direction = size == 2 and words[0] in DIRECTIONS
        if only_direction and last not in STRONG_WORDS:
            # "WEST PARK": rather Park (Street) West than West Park.
            return [DIRECTIONS[words[0]], last, *([post] if post else [])]
        pre, name = ("", front) if only_direction else _take_directions(front)
        suffix = SUFFIXES[last]
        name = _name(name, has_suffix=True)
        out = [pre, *name, suffix, post] if pre else [*name, suffix, post]
        return out if post else out[:-1]
    pre, name = _take_directions(words)
    name = _name(name, has_suffix=False)
    return [*([pre] if pre else []), *name, *([post] if post else [])]


def _is_street_end(words: list[str], i: int) -> bool:
    """Whether the word before `i` closes a street: a suffix, a direction after it, or a number."""
    before = words[i - 1]
    if before in SUFFIXES:
        return i >= 2
    if before in DIRECTIONS:
        return i >= 3 and words[i - 2] in SUFFIXES
    return has_digit(before)


def _names_in(words: list[str], end: int) -> bool:
    return any(word not in DIRECTIONS for word in words[:end])


def find_unit(words: list[str]) -> int:
    """Index of the first unit word in a street (without its house number); ``len(words)`` if none."""
    size = len(words)
    for i in range(size):
        word = words[i]
        if word not in _UNIT_START:
            if word == "NO" and i + 2 == size and i > 1 and has_digit(words[i + 1]) and _is_street_end(words, i):
                return i  # "BAY BLVD NO 239"
            continue
        if i == 0:
            if word == "#":
                return i
            continue
        if word == "#":
            return i - 1 if words[i - 1] in UNIT_WORDS and i > 1 else i
        following = words[i + 1] if i + 1 < size else ""
        if word in UNIT_WORDS:
            kind = UNIT_WORDS[word]
            if kind == "FL":
                if has_digit(following) and len(following) < 4 and not ORDINAL.fullmatch(following):
                    return i
                before = words[i - 1]
                if before in NAMED_FLOORS and i > 1 and _is_street_end(words, i - 1):
                    return i - 1
                if i > 1 and (
                    ORDINAL.fullmatch(before)
                    or before in ORDINALS
                    or (before.isdigit() and _is_street_end(words, i - 1))
                ):
                    return i - 1
                continue
            if not following or not _names_in(words, i) or words[i - 1] == "SAULT":
                continue
            if kind in UNIT_ANY_IDENTIFIER:
                if following in SUFFIXES and i + 2 >= size and not is_identifier(following):
                    continue  # "123 UNIT DR"
                return i
            if kind in UNIT_AFTER_SUFFIX_ONLY and not _is_street_end(words, i):
                continue
            if has_digit(following) and not ORDINAL.fullmatch(following):
                return i
            if len(following) == 1 and (following not in DIRECTIONS or i + 2 >= size):
                return i
            continue
        last = not following or following in UNIT_NOUNS
        if (last or has_digit(following) or following in _UNIT_START) and _names_in(words, i):
            if _is_street_end(words, i) or (word in UNIT_ALONE_AFTER_NAME and last):
                return i
            if word == "PH" and has_digit(following):
                return i
    return size


def find_bare_unit(words: list[str]) -> int:
    """Index of identifiers left at the end of a street ("MAIN ST 5B", "RIO VERDE 7"); ``len(words)`` if none."""
    size = len(words)
    i = size
    while i > 1 and is_identifier(words[i - 1]) and words[i - 1] not in SUFFIXES:
        i -= 1
    while i < size:
        if words[i] in DIRECTIONS:  # a letter that is a direction belongs to the street
            i += 1
            continue
        if _closes(words, i):
            return i
        i += 1
    last = words[-1]
    # Without a suffix: only a word with a digit, after a plain word that does not itself take a number.
    if (
        size > 1
        and has_digit(last)
        and is_identifier(last)
        and words[-2].isalpha()
        and words[-2] not in DIRECTIONS
        and words[-2] not in NAME_TAKES_NUMBER
    ):
        return size - 1
    return size


def _closes(words: list[str], i: int) -> bool:
    """Whether a strong suffix (perhaps with its direction) stands right before `i`."""
    j = i - 1
    if words[j] in DIRECTIONS and j > 1:
        j -= 1
    if j < 1 or words[j] not in SUFFIXES:
        return False
    if _is_named(words, j):
        return words[j] in STRONG_WORDS or has_digit(words[i])
    return False


def _is_named(words: list[str], i: int) -> bool:
    """Whether the words before the suffix at `i` are a street's name, be it a direction's ("WEST ST")."""
    if any(word not in DIRECTIONS for word in words[:i]):
        return True
    # "E AVE 5": there the number is the name.
    return i > 0 and words[i] in STRONG_WORDS and (len(words[i - 1]) > 2 or words[i] not in NAME_TAKES_NUMBER)


# Words that a plain street name never holds: with any of them the careful reading below is needed.
_NOT_PLAIN: Final = (
    _UNIT_START
    | _HIGHWAY_START
    | frozenset(DIRECTIONS)
    | frozenset(SUFFIXES)
    | frozenset(ORDINALS)
    | frozenset(TENS)
    | frozenset(EXPAND_INSIDE)
    | frozenset(EXPAND_FIRST)
    | word_set("AND AKA DBA BOX PO POB POBOX DRAWER FT FEET OF NO NUMBER THE TH ND HOUSE USA HALF")
)


def parse_plain_street(words: list[str]) -> Street | None:
    """The ordinary line in one pass: "123 N MAIN STREET APT 4". None for any other, which is no judgement.

    Gives what `parse_street` gives, several times faster; its result reads the same again.
    """
    size = len(words)
    number = words[0]
    if size < 3 or not number.isdigit() or number[0] == "0":
        return None
    i = 1
    out = [number]
    direction = DIRECTIONS.get(words[1])
    if direction is not None:
        out.append(direction)
        i = 2
    word = words[i]
    name_at = i
    while word not in _NOT_PLAIN:
        if not word.isalpha():
            # One ordinal may be the whole name: 56TH.
            found = ORDINAL.fullmatch(word)
            if not found or i != name_at:
                return None
            word = ordinal(int(found[1]))
            out.append(word)
            i += 1
            if i >= size or words[i] not in STRONG_WORDS:
                return None
            word = words[i]
            break
        out.append(word)
        i += 1
        if i >= size:
            return None
        word = words[i]
    if i == name_at or word not in STRONG_WORDS or word == "EXT":
        return None
    out.append(SUFFIXES[word])
    i += 1
    if i == size:
        return Street(" ".join(out), number, "", True)
    word = words[i]
    direction = DIRECTIONS.get(word)
    if direction is not None:
        out.append(direction)
        i += 1
        if i == size:
            return Street(" ".join(out), number, "", True)
        word = words[i]
    kind = UNIT_WORDS.get(word)
    if kind not in UNIT_ANY_IDENTIFIER or i + 2 != size:
        return None
    identifier = words[i + 1]
    if identifier.isdigit() or (len(identifier) == 1 and identifier not in DIRECTIONS and identifier.isalpha()):
        return Street(" ".join(out), number, f"{kind} {identifier}", True)
    return None


def parse_street(words: list[str]) -> Street:
    """Parse one street line without city, state and ZIP."""
    if not words:
        return Street("", "", "", True)
    number, rest = read_number(words)
    if not rest:
        return Street(number, number, "", False) if number else Street("", "", "", True)
    if any(len(word) > 5 and _GLUED_DIRECTION.fullmatch(word) for word in rest):
        rest = " ".join(_GLUED_DIRECTION.sub(r"\1 \2", word) for word in rest).split()
    if "&" in rest or "AND" in rest:
        crossing = _read_crossing(number, rest)
        if crossing is not None:
            return crossing
    unit: list[str] = []
    while len(rest) > 2 and UNIT_WORDS.get(rest[-1]) in UNIT_INTERCHANGEABLE and _is_street_end(rest, len(rest) - 1):
        rest = rest[:-1]  # "ELM PL NE UNIT"
    road, after = _read_road(rest)
    if road:
        return _street(number, road, rest[after:], is_parsed=True)
    i = find_unit(rest)
    if i == len(rest) and has_digit(rest[-1]):
        rest = unglue(rest)
        i = find_unit(rest)
    if i < len(rest):
        unit = [w for w in rest[i:] if w != "-"]
        rest = rest[:i]
        while len(rest) > 1 and rest[-1] == "-":
            rest.pop()
    if len(rest) > 1:
        i = find_bare_unit(rest)
        unit = [*rest[i:], *unit]
        rest = rest[:i]
    rest = [w for w in rest if w != "-"]
    if not rest:
        return Street(number, number, unit_text(unit) if unit else "", False)
    line = street_words(_split_hyphens(rest))
    end = line[:-1] if len(line) > 2 and line[-1] in DIRECTIONS else line
    return _street(number, line, unit, is_parsed=bool(number) or end[-1] in SUFFIXES)


def _read_road(rest: list[str]) -> tuple[list[str], int]:
    """A numbered road, with its direction, at the front of `rest`, and the index behind it; else ``[]``."""
    for start in (0, 1):
        if start < len(rest) and (rest[start] in _HIGHWAY_START or "-" in rest[start] or has_digit(rest[start])):
            found = read_highway(rest, start)
            if found:
                return [*(DIRECTIONS[word] for word in rest[:start]), *found[0]], found[1]
        if rest[0] not in DIRECTIONS:
            break
    return [], 0


def _read_crossing(number: str, rest: list[str]) -> Street | None:
    """Two crossing streets ("MAIN ST & OAK AVE"); None if the sign is part of a name ("ROSE & CROWN LN")."""
    i = rest.index("&") if "&" in rest else rest.index("AND")
    left, right = rest[:i], rest[i + 1 :]
    if not left or not right or (right[0][0].isdigit() and not ORDINAL.fullmatch(right[0])):
        return None
    road, after = _read_road(left)
    if not (road and after == len(left)) and not (len(left) > 1 and left[-1] in SUFFIXES):
        return None
    first, second = parse_street(left), parse_street(right)
    if first.unit or second.unit or not first.line or not second.line:
        return None
    return _street(number, [first.line, "&", second.line], [], is_parsed=True)


def _split_hyphens(words: list[str]) -> list[str]:
    """WINSTON-SALEM -> WINSTON SALEM (Publication 28, 222); a hyphen beside a digit stays."""
    if not any("-" in word for word in words):
        return words
    out: list[str] = []
    for word in words:
        out.extend(part for part in word.split("-") if part) if not has_digit(word) else out.append(word)
    return out or words


def _street(number: str, line: list[str], unit: list[str], *, is_parsed: bool) -> Street:
    text = " ".join(line)
    return Street(f"{number} {text}" if number else text, number, unit_text(unit) if unit else "", is_parsed)


# Where a street ends and a city begins --------------------------------------------------------------------


def find_city(words: list[str]) -> int | None:
    """Index at which the city begins in "123 MAIN ST APT 4 HOBOKEN"; None where the words do not tell.

    The state and ZIP have been taken off before; the index may be ``len(words)``: no city.
    """
    size = len(words)
    if "BOX" in words[:-1]:
        return _after_box(words)
    _, rest = read_number(words)
    offset = size - len(rest)
    if not rest:
        return None
    road, after = _read_road(rest)
    if road:
        return offset + _after_unit(rest, after)
    i = find_unit(rest)
    if i < len(rest):
        return offset + _after_unit(rest, i)
    for i in range(1, len(rest)):
        if rest[i] not in STRONG_WORDS or not (_is_named(rest, i) or rest[i] == "ST"):
            continue
        following = rest[i + 1] if i + 1 < len(rest) else ""
        if following in STRONG_WORDS and not (following in ("ST", "LA") and i + 2 < len(rest)):
            continue  # "PARK PLACE BLVD": the last of them ends the street
        if following in ("&", "AND"):
            continue  # a crossing: the second street's suffix counts
        if rest[i] == "ST" and following:
            if following in SAINT_CITIES:
                return offset + i
            if rest[i - 1] in _BEFORE_SAINT:
                continue
        end = _after_direction(rest, i + 1)
        if end > i + 1 and end < len(rest) and rest[end] in STRONG_WORDS and rest[end] not in ("ST", "LA"):
            continue  # "QUIET AVENUE WEST RD"
        return offset + _after_unit(rest, end)
    return None


def _after_box(words: list[str]) -> int | None:
    i = words.index("BOX") + 1
    while i < len(words) and words[i] in ("#", "NO"):
        i += 1
    if i >= len(words) or not (has_digit(words[i]) or len(words[i]) == 1):
        return None
    i += 1
    if i < len(words) and words[i].isdigit() and (start := find_city(words[i:])) is not None:
        return i + start  # a street behind the box
    while i < len(words) and is_identifier(words[i]) and words[i] not in DIRECTIONS:
        i += 1
    return _after_unit(words, i)


def _after_direction(words: list[str], i: int) -> int:
    """Index behind the street's direction at `i`, if it is the street's and not the city's."""
    if i >= len(words) or words[i] not in LATE_DIRECTIONS:
        return i
    following = words[i + 1] if i + 1 < len(words) else ""
    if (words[i], following) in _COMPASS_PAIRS:  # "DR S E AUBURN"
        return i + 2
    return i if " ".join(words[i + 1 :]) in DIRECTIONAL_CITIES else i + 1


def _after_unit(words: list[str], start: int) -> int:
    _, end = read_unit(words, start, open_ended=False)
    # "UNIT 120 S AUBURN": a letter behind a unit is the unit's, unless the city is known to carry it.
    if (
        start < end < len(words) - 1
        and len(words[end]) == 1
        and words[end] in DIRECTIONS
        and " ".join(words[end + 1 :]) not in DIRECTIONAL_CITIES
    ):
        end += 1
    return end
