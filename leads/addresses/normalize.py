"""Addresses in the one form under which leads are stored, compared and mailed."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from leads.addresses.crf import city_start
from leads.addresses.places import (
    normalize_city,
    normalize_state,
    normalize_zip,
    split_city_state_zip,
    take_state,
    take_zip,
)
from leads.addresses.streets import (
    Street,
    find_city,
    is_legal_description,
    legal_line,
    parse_plain_street,
    parse_street,
    read_box,
    read_number,
    read_rural_route,
)
from leads.addresses.tables import (
    AMBIGUOUS_STATES,
    COUNTRIES,
    DIRECTIONS,
    NAME_TAKES_NUMBER,
    ORDINALS,
    PLACEHOLDERS,
    STATE_ZIP_PREFIXES,
    STRONG_WORDS,
    SUFFIXES,
    UNIT_ALONE,
    UNIT_INTERCHANGEABLE,
    UNIT_WORDS,
)
from leads.addresses.tables import (
    words as word_set,
)
from leads.addresses.text import clean, upper
from leads.addresses.units import has_digit, is_identifier, normalize_unit, read_unit, unit_key

NORMALISER_VERSION: Final = 1
"""Part of every address key. Once released, raise it with any change that gives an address another line or unit key."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address in USPS form (Publication 28). Every field is ``""`` where unknown."""

    line: str
    """Delivery line without the unit: "123 N MAIN ST", "PO BOX 12"."""
    unit: str
    """"APT 4B", "FL 2", "# 12" where the designator is unknown."""
    city: str
    state: str
    zip: str
    plus4: str
    house_number: str
    """Keeps "1312 1/2", "12.5", "1109-1121" and "12A"; the box on a rural route; ``""`` if missing or all zeros."""
    is_parsed: bool
    """False where the line is only cleaned text: a legal description, a foreign address, a lone number."""


class _Place:
    """City, state and ZIP found inside a line."""

    __slots__ = ("city", "plus4", "state", "zip")

    def __init__(self) -> None:
        self.city = self.state = self.zip = self.plus4 = ""


_SECOND_ADDRESS: Final = re.compile(
    # "12 ELM ST/14 OAK ST", "12 ELM ST &14 5TH ST", "12 ELM ST/AKA14 OAK", "12 ELM ST/14OAK"
    r"(?<=[A-Z]) ?(?:/|&|\bAND\b)+ ?(?:AKA ?|REAR )?[0-9](?:[0-9-]*[A-Z]{3,}|[0-9A-Z/-]* [0-9A-Z]).*"
    r"|(?<=[A-Z0-9]) (?:AKA|A/K/A|A K A|DBA|D/B/A)\b.*"
    r"|(?<=[A-Z]) ?/ ?(?:LEASING|[A-Z] [A-Z]+$).*"
)
_REAR_BESIDE: Final = re.compile(r" ?/ ?(?=(?:REAR|OFFICE|COTTAGE|GARAGE)\b)")
_LEADING_UNIT: Final = re.compile(
    r"([0-9]+(?:ST|ND|RD|TH) (?:FL|FLR|FLOOR)"
    r"|(?:APT|APARTMENT|UNIT|STE|SUITE|LOT|LT|BLDG|RM|ROOM|FL|FLOOR|#) ?(?:# )?[0-9A-Z-]*[0-9][0-9A-Z-]*"
    r"|(?:APT|UNIT|STE|SUITE) [A-Z])"
    r"(?: ,)? (?=[0-9]+[A-Z]? (?![A-Z]* *&)[0-9]*[A-Z])"
)
_PARENTHESES: Final = re.compile(r"\(([^()]*)\)")
_C_O: Final = re.compile(r"\bC/[O0]\b", re.IGNORECASE)
_CARE_OF: Final = re.compile(
    r"(?:\bC/[O0]\b|\bC\\O\b|(?<![0-9])%|\bATTN?\b ?:?|\bATTENTION\b ?:?|\b(?:IN )?CARE OF\b)", re.IGNORECASE
)
_BRITISH: Final = re.compile(
    r",? [A-Z]{1,2}[0-9][0-9A-Z]? [0-9][A-Z]{2}(?: ,)* (?:UK|U K|UNITED KINGDOM|GREAT BRITAIN|ENGLAND|SCOTLAND|WALES)$"
)
_WISCONSIN: Final = re.compile(r"([NSEW]) ([0-9]{3,5}) (?=(?:(?:COUNTY|CTY|CNTY|CO) (?:RD|ROAD|HWY|HIGHWAY)|CTH) )")
_FIRM: Final = word_set("LLC INC CORP CORPORATION LTD LP LLP CO COMPANY TRUST")
_POSTCODE: Final = re.compile(r"\b[A-Z][0-9][A-Z] ?[0-9][A-Z][0-9]\b")  # Canada: M4V 3E3
_SLASH: Final = re.compile(r"(?<=[0-9]) ?/ ?(?=[0-9])")
_INNER_BOX: Final = re.compile(r"(?<= )(?:P ?O ?B(?:OX|X)?|P ?O ?DRAWER|POST OFFICE BOX) ?(?:# ?|NO )?[0-9][0-9A-Z-]*")
_COUNTRY: Final = re.compile(
    r"(?<=[0-9A-Z])(?: ,)* (?:UNITED STATES(?: OF AMERICA)?|USA|U S A|(?<=[0-9]{5} )US)(?: ,)*$"
)
_NUMBERED: Final = re.compile(r"([1-9][0-9]{0,5}) ([A-Z].*)")
_PROBE: Final = "123"  # an ordinary number: where words leave a doubt, usaddress looks at its length too
_DASHED_UNIT: Final = re.compile(r"([0-9]+)-+([0-9]+|[A-Z]{1,2})(?= )")


def normalize_address(line: str, *, unit: str = "", city: str = "", state: str = "", zip: str = "") -> Address:
    """Bring a property's address to USPS form.

    `line` may be a street or a whole address in one line. Parts given by themselves win over those found in
    the line, and what the line repeats of them is taken off it. Never raises; what cannot be read stays as
    cleaned text with ``is_parsed`` False.
    """
    return _normalize(line, unit, city, state, zip, mailing=False)


def normalize_mailing(
    line: str,
    *,
    unit: str = "",
    line2: str = "",
    city: str = "",
    state: str = "",
    zip: str = "",
    city_state_zip: str = "",
) -> Address:
    """Bring a mailing address to USPS form: as `normalize_address`; a name where the street should be is left out.

    A PO box wins over a street beside it (mail goes there). `line2` may hold a unit, a second street, a
    care-of name, or city, state and ZIP. Foreign addresses stay as cleaned text.
    """
    plus4 = ""
    if city_state_zip:
        found_city, found_state, found_zip, plus4 = split_city_state_zip(city_state_zip)
        city = city or found_city
        state = state or found_state
        if not normalize_zip(zip)[0]:
            zip = f"{found_zip}-{plus4}" if plus4 else found_zip
    for _ in range(3):  # "C/O ACME INC ATTN TAX DEPT": one care-of may hide another
        before = line, line2
        line, line2 = _without_care_of(line), _without_care_of(line2) if line2 else line2
        if (line, line2) == before:
            break
    if line2:
        line, unit, city, state, zip = _with_line2(line, line2, unit, city, state, zip)
    address = _normalize(line, unit, city, state, zip, mailing=True)
    if not address.is_parsed and _is_name(line, address):
        return replace(address, line="", unit="", is_parsed=True)
    return address


def has_house_number(line: str) -> bool:
    """Whether a delivery line (cleaned or not) begins with a house number other than zero."""
    text = clean(line)
    if not text or is_legal_description(text):
        return False
    return bool(read_number(text.split())[0]) or bool((route := read_rural_route(text)) and " BOX " in route[0])


def address_key(line: str, unit: str, place: str) -> str:
    """The key of a lead: version, delivery line, unit by its identifier, place.

    `line` and `unit` are those of an `Address`; `place` is the caller's choice (ZIP5, CITY|ST, ...).
    """
    return f"{NORMALISER_VERSION}|{line}|{unit_key(unit)}|{place}"


# ----------------------------------------------------------------------------------------------------------


def _normalize(line: str, unit: str, city: str, state: str, zip: str, *, mailing: bool) -> Address:
    city = normalize_city(city) if city else ""
    state = normalize_state(state) if state else ""
    plus4 = ""
    if zip:
        zip, plus4 = normalize_zip(zip)
    if unit:
        unit = normalize_unit(unit)
    while "/" in line and _C_O.search(line):
        line = _without_name(line)
    text = clean(line)
    words = text.split()
    if words and (plain := parse_plain_street(words)):
        return Address(plain.line, unit or plain.unit, city, state, zip, plus4, plain.number, True)
    if found := _NUMBERED.fullmatch(text):
        number, rest = found.groups()
        same = _read_after_number(rest, unit, *_stand_in(rest, city, zip), state, mailing)
        if same is not None:
            return Address(
                number + same.line[len(_PROBE) :],
                same.unit,
                city or same.city,
                state or same.state,
                zip or same.zip,
                plus4 if zip else same.plus4,
                number,
                same.is_parsed,
            )
    return _read(text, unit, city, state, zip, plus4, mailing=mailing)


def _stand_in(rest: str, city: str, zip: str) -> tuple[str, str]:
    """A city and ZIP that read the same: those of a line that does not repeat them only say that they are known."""
    if city and not set(city.split()).intersection(rest.split()):
        city = "ANYTOWN"
    if zip and zip not in rest:
        zip = f"{zip[:3]}00"
    return city, zip


@lru_cache(maxsize=16_384)
def _read_after_number(rest: str, unit: str, city: str, zip: str, state: str, mailing: bool) -> Address | None:
    """What follows a plain house number, read once: a county list has far more houses than streets.

    None where the number does not simply stay in front.
    """
    address = _read(f"{_PROBE} {rest}", unit, city, state, zip, "", mailing=mailing)
    return address if address.house_number == _PROBE and address.line.startswith(f"{_PROBE} ") else None


def _read(text: str, unit: str, city: str, state: str, zip: str, plus4: str, *, mailing: bool) -> Address:
    """Read a cleaned line that is not plain; the other parts are normalised already."""
    place = _Place()
    street = _read_line(text, city, state, zip, place, mailing=mailing)
    # What is read once must read the same again. Ordinary lines do so at the first look.
    for _ in range(4):
        if not street.line or street.line == text:
            break
        again = _read_line(
            street.line, city or place.city, state or place.state, zip or place.zip, _Place(), mailing=mailing
        )
        if again.line == street.line and not again.unit:
            street = again._replace(unit=street.unit)
            break
        both = " ".join(part for part in (again.unit, street.unit) if part)
        street = again._replace(unit=normalize_unit(both) if again.unit else street.unit)
    else:
        street = Street(text, "", "", False)
    number = street.number
    unit = _with_building(unit, street.unit) if unit and street.unit else unit or street.unit
    if unit and "-" in text and number:
        street = _without_unit_in_number(street, unit, text)
        number = street.number
    return Address(
        street.line,
        unit,
        city or place.city,
        state or place.state,
        zip or place.zip,
        plus4 if zip else place.plus4,
        number,
        street.is_parsed or not street.line,
    )


def _read_line(text: str, city: str, state: str, zip: str, place: _Place, *, mailing: bool) -> Street:
    """Read a cleaned line; fills `place` with what it holds of city, state and ZIP."""
    if text in PLACEHOLDERS:
        return Street("", "", "", True)
    if is_legal_description(text):
        line = legal_line(text)
        return Street(line, "", "", False)
    if mailing and _is_foreign(text, state, zip):
        return Street(" ".join(word for word in text.split() if word != ","), "", "", False)
    if text[1:2] == " ":
        text = _WISCONSIN.sub(r"\1\2 ", text, count=1)
    text = _without_names(text) if mailing else _BRITISH.sub("", text)
    text = _COUNTRY.sub("", text)
    unit_inside = ""
    if "(" in text or ")" in text:
        text, unit_inside = _without_parentheses(text)
    if found := _LEADING_UNIT.match(text):  # "#42 12 S ELM DR", "APT 4, 123 MAIN ST"
        unit_inside = f"{found[1]} {unit_inside}".strip()
        text = text[found.end() :]
    if "/" in text or "&" in text or ("A" in text and ("AKA" in text or "DBA" in text or " AND " in text)):
        text = _SLASH.sub("/", text)
        if text[0].isdigit():
            text = _REAR_BESIDE.sub(" ", _SECOND_ADDRESS.sub("", text))
    if "," in text:
        words, unit = _read_segments(text, city, state, place, mailing=mailing)
    else:
        words, unit = _take_place(text.split(), city, state, zip, place), ""
    street = _read_street(words, mailing=mailing)
    unit = " ".join(part for part in (street.unit, unit, unit_inside) if part)
    if unit != street.unit:
        street = street._replace(unit=normalize_unit(unit))
    return street


def _read_street(words: list[str], *, mailing: bool) -> Street:
    if not words:
        return Street("", "", "", True)
    if plain := parse_plain_street(words):
        return plain
    first = words[0]
    if first[0] in "PBRHS":
        text = " ".join(words)
        if box := read_box(text):
            rest = box[1].split()
            if not mailing and len(rest) > 1 and rest[0][0].isdigit():
                return parse_street(rest)
            return Street(box[0], "", _department(rest), True)
        if first in _ROUTE_STARTS and (route := read_rural_route(text)):
            return Street(route[0], route[0].partition(" BOX ")[2], "", True)
    if "BOX" in words or "POB" in words:
        text = " ".join(words)
        if found := _INNER_BOX.search(text):
            if (mailing or not first[0].isdigit()) and (box := read_box(found[0])):
                return Street(box[0], "", _department(words), True)
            words = (text[: found.start()] + text[found.end() :]).split()
    return parse_street(words)


def _department(words: list[str]) -> str:
    """ "DEPT 541" beside a box."""
    for i in range(len(words) - 1):
        if UNIT_WORDS.get(words[i]) in ("DEPT", "PMB") and has_digit(words[i + 1]):
            return normalize_unit(" ".join(words[i : i + 2]))
    return ""


_ROUTE_STARTS: Final = word_set("RR R RURAL RFD RF RD RT RTE ROUTE HC HCR H HIGHWAY STAR")


def _without_parentheses(text: str) -> tuple[str, str]:
    """Text without its parentheses, and the unit they held, if any. A wholly bracketed text is unwrapped."""
    if text.startswith("(") and text.endswith(")") and text.count("(") == 1:
        return text[1:-1].strip(), ""
    unit = ""
    for inside in _PARENTHESES.findall(text):
        words = inside.split()
        if words and (words[0] in UNIT_WORDS or words[0] in UNIT_ALONE or all(map(is_identifier, words))):
            unit = unit or inside.strip()
    text = _PARENTHESES.sub(" ", text)
    return " ".join(text.replace("(", " ").replace(")", " ").split()), unit


def _with_building(unit: str, inside: str) -> str:
    """The unit given by itself; a building or floor inside the line goes with it ("BLDG 2" and "APT 4")."""
    if inside.split()[0] in UNIT_INTERCHANGEABLE or unit_key(inside) in unit_key(unit).split():
        return unit
    return normalize_unit(f"{inside} {unit}")


def _without_unit_in_number(street: Street, unit: str, text: str) -> Street:
    """Drop a unit repeated behind the house number: "8600-209 N ELM DR, UNIT 209", "4912--D ELM DR, UNIT D".

    A range ("501-503") stays, and so does what may be a house in Queens ("34-12").
    """
    found = _DASHED_UNIT.match(text)
    if not found or unit_key(unit) != found[2].lstrip("0"):
        return street
    first, second = found[1].lstrip("0"), found[2]
    if second.isdigit():
        is_range = len(first) == len(second) and 0 < int(second) - int(first) < 100
        if is_range or (len(second) < 3 and len(first) < 4) or street.number != f"{first}-{second}":
            return street
    elif street.number != first + second:
        return street
    return street._replace(line=first + street.line[len(street.number) :], number=first)


# City, state and ZIP behind a street ----------------------------------------------------------------------


def _take_place(words: list[str], city: str, state: str, zip: str, place: _Place) -> list[str]:
    """Take city, state and ZIP off the end of a line without commas."""
    if len(words) < 2:
        return words
    last = words[-1]
    if last in SUFFIXES and last not in AMBIGUOUS_STATES:
        return words  # the usual end of a street
    rest = words
    zip5 = plus4 = ""
    taken = 0
    if last[0].isdigit():
        zip5, plus4, taken = take_zip(rest)
        if taken and (len(rest) - taken < 1 or not _can_precede_zip(rest[:-taken])):
            return words
        if taken:
            rest = rest[:-taken]
    code, size = take_state(rest)
    before = rest[:-size]
    if (
        (size and taken and before and code not in STATE_ZIP_PREFIXES)
        and not any(has_digit(word) or word in STRONG_WORDS for word in before)
    ):  # fmt: skip
        # "HOBOKEN NJ 07030": a place and no street.
        place.city, place.state = normalize_city(" ".join(before)), code
        place.zip, place.plus4 = zip5, plus4
        return []
    if size and len(rest) - size >= 2:
        before = rest[:-size]
        if _believe_state(before, rest[-size:], code, zip5 if taken else None, city, state):
            rest = before
        else:
            code = ""
    else:
        code = ""
    if not taken and not code:
        return _take_known_city(words, city) if city else words
    place.zip, place.plus4, place.state = zip5, plus4, code
    if city:
        shorter = _take_known_city(rest, city, certain=True)
        if len(shorter) < len(rest):
            return shorter
    start = find_city(rest)
    if start is None:
        start = city_start(rest, f"{code or state} {zip5 or zip}".strip())
    if start is None or start >= len(rest):
        return rest
    place.city = normalize_city(" ".join(rest[start:]))
    return rest[:start]


def _can_precede_zip(words: list[str]) -> bool:
    """Whether five digits after `words` are a ZIP, and not a door, a box or a road."""
    before = words[-1]
    if (before in UNIT_WORDS and before != "FL") or before in ("NO", "BOX"):
        return False
    if before in NAME_TAKES_NUMBER:
        _, rest = read_number(words)
        return sum(word not in DIRECTIONS and word not in NAME_TAKES_NUMBER for word in rest) > 0 and not (
            len(rest) >= 2 and rest[-2] in ("STATE", "COUNTY", "US", "CO", "CNTY", "ST")
        )
    return True


def _believe_state(before: list[str], words: list[str], code: str, zip5: str | None, city: str, state: str) -> bool:
    """Whether `words`, which spell a state, are one here: "FOREST CT" is a court, "HARTFORD CT" a state.

    `zip5` is the ZIP behind them, None if there is none.
    """
    if city and " ".join(before).endswith(" " + city):
        return True
    if zip5 and code in STATE_ZIP_PREFIXES and len(words[0]) == 2 and zip5[:2] not in STATE_ZIP_PREFIXES[code]:
        return False
    start = find_city(before)
    if start is not None and start < len(before):
        named = before[start:]
        if any(has_digit(word) for word in named) or (code == "FL" and named[-1] in ORDINALS):
            return False  # "ACME BLVD FOURTH FL"
        if code in AMBIGUOUS_STATES and zip5 is None and any(word in SUFFIXES for word in named):
            return False
        return not city or zip5 is not None or code == state
    if start is not None:  # a street that ends before the state: "MAIN ST MD 21000", but "MAIN ST NE 20000"
        return zip5 is not None and words[-1] not in DIRECTIONS and "#" not in before
    # No sure suffix to go by: whole words are not believed, nor the codes that end streets.
    if len(words) > 1 or len(words[0]) > 2:
        return zip5 is not None and len(before) > 3
    if code in STATE_ZIP_PREFIXES:
        return zip5 is not None and any(word in SUFFIXES for word in before[2:-1])
    return zip5 is not None or (code not in AMBIGUOUS_STATES and len(before) > 3)


def _take_known_city(words: list[str], city: str, *, certain: bool = False) -> list[str]:
    """Take the known city off the end, if a street remains ("20 OLD AUBURN" in Auburn is a street)."""
    named = city.split()
    size = len(named)
    if len(words) <= size + 1:
        return words
    tail = words[-size:]
    if tail != named and " ".join(tail).replace("SAINT ", "ST ") != city:
        return words
    rest = words[:-size]
    if certain:
        return rest if len(rest) > 1 else words
    last = rest[-1]
    if (last in STRONG_WORDS and len(rest) > 2) or (last in DIRECTIONS and rest[-2] in SUFFIXES):
        return rest
    if len(rest) > 3 and (has_digit(last) or len(last) == 1) and find_city(rest) == len(rest):
        return rest
    return words


def _read_segments(text: str, city: str, state: str, place: _Place, *, mailing: bool) -> tuple[list[str], str]:
    """Read a line with commas: the words of the street, and the unit found in other segments."""
    segments = [segment.split() for segment in text.split(",")]
    head = segments[0]
    tail = [s for s in segments[1:] if s]
    if not head and tail and (tail[0][0][0].isdigit() or len(tail) == 1):
        head, tail = tail[0], tail[1:]
    while head and tail and all(word.isdigit() for word in head):
        head = [*head, *tail.pop(0)]  # "123, MAIN ST"; "121, 123 AND 125 MAIN ST"
    # ZIP and state, from the end.
    zip_words: list[str] = []
    if tail:
        last = tail[-1]
        state_before = take_state(tail[-2])[0] if len(tail) > 1 and len(last) == 1 else ""
        zip5, plus4, size = take_zip([state_before, *last])
        if size:
            place.zip, place.plus4, zip_words = zip5, plus4, last[-size:]
            tail[-1:] = [last[:-size]] if last[:-size] else []
        if tail:
            _take_segment_state(head, tail, place, has_zip=bool(zip_words))
        elif zip_words:
            return _take_place([*head, *zip_words], city, state, "", place), ""
    if not (zip_words or place.state or city) and not any(
        has_digit(word) or word in STRONG_WORDS or word in UNIT_WORDS for segment in segments for word in segment
    ):
        return [word for segment in segments for word in segment], ""  # names, not an address
    unit = ""
    post: list[str] = []
    box: list[str] = []
    for segment in reversed(tail):
        first = segment[0]
        if head and len(head[0]) > 1 and first in DIRECTIONS and (len(segment) == 1 or len(first) == 2):
            # "ELM ST, SE"; "ELM ST, NE STE 20"; but "ELM HWY, N AUBURN"
            post, segment = [first], segment[1:]
            if not segment:
                continue
            first = segment[0]
        if _box_segment(segment):
            if head and head[0] in _ROUTE_STARTS and first == "BOX":
                head = [*head, *segment]  # "RR 4, BOX 164"
            else:
                box = segment
            continue
        if head and not head[0][0].isdigit() and first[0].isdigit() and len(segment) > 1 and not _is_floor(segment):
            # A name or a unit before the street: "SUITE 4, 12 MAIN ST".
            if head[0] in UNIT_WORDS or head[0] in UNIT_ALONE:
                unit = f"{' '.join(head)} {unit}".strip()
            head = segment
            continue
        if not head:
            if first[0].isdigit():
                head = segment
            elif not place.city:
                place.city = normalize_city(" ".join(segment))
            continue
        words, end = read_unit(segment, open_ended=False)
        if words and (len(words) > 1 or first not in UNIT_WORDS):
            unit = f"{' '.join(words)} {unit}".strip()
        elif words and len(segment) > 1:
            unit, end = f"{' '.join(segment)} {unit}".strip(), len(segment)
        city_words = segment[end:]
        if len(city_words) == 1 and len(city_words[0]) < 3 and len(tail) > 1 and not has_digit(city_words[0]):
            continue  # a state mistyped
        if city_words and not place.city:
            if (words and not (zip_words or place.state or city)) or any(has_digit(word) for word in city_words):
                unit = f"{unit} {' '.join(city_words)}".strip()
            else:
                place.city = normalize_city(" ".join(city_words))
    if box and (mailing or not head):
        return box, unit
    if head and (zip_words or place.state) and not place.city and not box:
        # "HOBOKEN, NJ 07030" is a place and no street; "12 ELM ST HOBOKEN, NJ 07030" is both.
        if not unit and not any(has_digit(word) or word in STRONG_WORDS for word in head):
            place.city = normalize_city(" ".join(head))
            return [], unit
        start = None
        if city:
            shorter = _take_known_city(head, city, certain=True)
            start = len(shorter) if len(shorter) < len(head) else None
        start = find_city(head) if start is None else start
        if start is None:
            start = city_start(head, f"{place.state or state} {place.zip}".strip())
        if start is not None and start < len(head):
            place.city = normalize_city(" ".join(head[start:]))
            head = head[:start]
    else:
        head = _take_place(head, city, state, "", _Place()) if len(head) > 3 else head
    return [*head, *post], unit


def _take_segment_state(head: list[str], tail: list[list[str]], place: _Place, *, has_zip: bool) -> None:
    """Take the state, and the city before it, off the last segment."""
    last = tail[-1]
    code, size = take_state(last)
    if not size:
        return
    if size == len(last):
        # "12 ELM ST, NE" ends in a direction; "..., CLEVELAND, NE" in a state.
        if last[-1] in DIRECTIONS and not has_zip:
            before = tail[-2] if len(tail) > 1 else []
            if not before or any(has_digit(word) for word in before):
                return
        place.state = code
        tail.pop()
        if (
            len(tail) > 1 and tail[-1] != ["NEW", "YORK"] and take_state(tail[-1]) == (code, len(tail[-1]))
        ):  # "AUBURN, GEORGIA, GA"
            tail.pop()
        elif tail and len(tail[-1]) > 1 and tail[-1][-1] == code:  # "AUBURN TN, TN"
            tail[-1] = tail[-1][:-1]
        return
    place.state = code
    tail[-1] = last[:-size]


def _is_floor(words: list[str]) -> bool:
    return len(words) == 2 and words[1] in ("FL", "FLR", "FLOOR")


def _box_segment(words: list[str]) -> bool:
    return words[0] in ("PO", "POB", "POBOX", "P", "POST", "BOX") and read_box(" ".join(words)) is not None


# Mailing --------------------------------------------------------------------------------------------------


def _without_care_of(line: str) -> str:
    """The line without "C/O NAME", "% NAME", "ATTN NAME"."""
    found = _CARE_OF.search(line)
    if not found:
        return line
    before = line[: found.start()].strip(" ,")
    if not any(c in "0123456789" for c in before):
        before = ""  # "ACME REALTY ATTN TAXES 12 ELM ST"
    after = line[found.end() :]
    text = upper(after)
    if start := _DELIVERY.search(text):
        # The street after the name, or all that follows the comma after the street before the name.
        if not before:
            return text[start.start() :]
        comma = text.find(",")
        return f"{before},{text[comma + 1 :]}" if comma >= 0 else before
    return before


def _without_name(line: str) -> str:
    """A property's line without its "C/O NAME"; what follows the next comma stays."""
    before, after = _C_O.split(line, maxsplit=1)
    if not any(c.isdigit() for c in before):
        return _without_care_of(line)
    _, comma, rest = after.partition(",")
    return f"{before.strip(' ,')}{comma}{rest}"


# Where mail can go to: a box, a route, or a number with a word behind it that is no part of a firm's name.
_DELIVERY: Final = re.compile(
    r"\bP\.? ?O\.? ?B(?:OX|X)\b|\bPOB\b|\bRR [0-9]"
    r"|(?<![A-Z#&-])(?<![#&] )\b[0-9]+[0-9A-Z/-]* +(?!(?:LLC|INC|CORP|LTD|LP|CO|TRUST|INT)\b)"
    r"(?:[0-9]|[A-Z][A-Z.']*(?: |$))"
)


def _without_names(text: str) -> str:
    """The text without names run together before the street ("WREN, ADA P O BOX 46", "ARM LLC 12 ELM ST")."""
    if not text[0].isalpha() or text.isalpha():
        return text
    words = text.split()
    if words[0] in UNIT_WORDS or words[0] == "REAR" or words[0] in _ROUTE_STARTS or read_box(text):
        return text
    for found in _DELIVERY.finditer(text):
        rest = text[found.start() :].split()
        if "BOX" in rest[:4] or any(word in STRONG_WORDS for word in rest[2:]):
            front = text[: found.start()].split()
            # "HIGHWAY 7 100 MAIN ST" keeps its road.
            return " ".join(rest) if front and front[-1] not in NAME_TAKES_NUMBER else text
    return text


def _is_name(line: str, address: Address) -> bool:
    """Whether the line holds no place at all, but who gets the mail: "LATCHMOOR, BLANCHE", "ACME INC".

    A house that has a name alone ("TOWN HALL") stays, if there is a city.
    """
    said = address.line
    if has_digit(said) or has_digit(address.unit) or said == "GENERAL DELIVERY" or _is_foreign(said, "", ""):
        return False
    _, comma, after = line.partition(",")
    if comma and normalize_city(after) not in ("", address.city):
        return True
    return not (address.city or address.zip) or said.rpartition(" ")[2] in _FIRM


def _is_foreign(text: str, state: str, zip: str) -> bool:
    if state or zip:
        return False
    words = text.split()
    return len(words) > 3 and (words[-1] in COUNTRIES or _POSTCODE.search(text) is not None)


def _with_line2(line: str, line2: str, unit: str, city: str, state: str, zip: str) -> tuple[str, str, str, str, str]:
    text = clean(line2)
    words = text.split()
    if text in PLACEHOLDERS or not words or text == clean(line):
        return line, unit, city, state, zip
    if not line.strip() or clean(line) in PLACEHOLDERS:
        return line2, unit, city, state, zip
    if words[0] in UNIT_WORDS or (words[0] in UNIT_ALONE and len(words) == 1) or _is_floor(words):
        return line, unit or line2, city, state, zip
    if len(words) == 1 and is_identifier(words[0]):
        return line, unit or line2, city, state, zip
    found_city, found_state, found_zip, plus4 = split_city_state_zip(line2)
    if found_state and found_city and not (words[0][0].isdigit() and len(words) > 3):
        if not city and not state:
            return line, unit, found_city, found_state, zip or (f"{found_zip}-{plus4}" if plus4 else found_zip)
        if found_city == normalize_city(city):
            return line, unit, city, state, zip
    first = clean(line)
    if read_box(text) or read_box(first):
        return (line2 if read_box(text) and not read_box(first) else line), unit, city, state, zip
    starts = words[0][0].isdigit() and len(words) > 1
    if starts and not first[0].isdigit():
        return line2, unit, city, state, zip
    if not starts and not normalize_state(state) and not found_state and not any(w in UNIT_WORDS for w in words):
        # No state anywhere: a foreign address goes on in the second line.
        return f"{line} {line2}", unit, city, state, zip
    return line, unit, city, state, zip
