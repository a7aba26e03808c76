"""Which county a ZIP lies in, and where. Made from files of the repository; no Django, no database.

A ZIP may reach into several counties; the one named here is where most of it lies, by the source we have. Pages show
it as approximate. `territories/geo/build.py` says how the files are made, docs/zip-counties.md what could not be told.
"""

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from leads.addresses import normalize_state

HERE = Path(__file__).resolve().parent
Box = tuple[float, float, float, float]
_SUFFIX = re.compile(r" (?:city and borough|county|parish|municipio|municipality|census area|borough)$")
_PREFIX = re.compile(r"^(?:city and borough|municipality|city|county) of ")
_CITY = re.compile(r"(?: city| \(city\))$")
_SAYS_CITY = re.compile(r"\bcity\b(?! and)", re.IGNORECASE)
_SAYS_COUNTY = re.compile(r"\bcounty\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class County:
    """A county, parish, borough or independent city. An independent city beside a county of its name: "X (city)"."""

    fips: str
    name: str
    state: str

    def __str__(self) -> str:
        return f"{self.name}, {self.state}"


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of a ZIP. `x` and `y` lie in the frame of the maps; None where the maps do not show it."""

    zip: str
    city: str
    state: str
    x: float | None
    y: float | None


@dataclass(frozen=True, slots=True)
class State:
    """A state; `box` is its (left, top, right, bottom) in the frame of the maps, None where they do not show it."""

    code: str
    name: str
    fips: str
    box: Box | None


def county_of(zip_code: str) -> County | None:
    """The county that most of a ZIP lies in; None where the ZIP or its county is unknown."""
    found = _zips().get(zip_code)
    return _counties().get(found.split("\t", 2)[1]) if found else None


def place_of(zip_code: str) -> Place | None:
    """City, state and place on the map of a ZIP; None where there is no such ZIP."""
    found = _zips().get(zip_code)
    if not found:
        return None
    _, _, city, state, x, y, _ = found.split("\t")
    return Place(zip=zip_code, city=city, state=state, x=float(x) if x else None, y=float(y) if y else None)


def zips_in_county(fips: str) -> list[str]:
    """The ZIPs whose county is this one, in order; none where there is no such county."""
    return list(_zips_by_county().get(fips, ()))


def zips_in_state(state: str) -> list[str]:
    """The ZIPs whose mail goes to this state (two letters), in order."""
    return list(_zips_by_state().get(state, ()))


def find_counties(text: str) -> list[County]:
    """Counties of this name or FIPS number, by state: "Essex, NJ", "Essex County", "St. Louis city, MO", "34013"."""
    text = text.strip()
    if re.fullmatch(r"[0-9]{4,5}", text):
        found = _counties().get(text.zfill(5))  # spreadsheets drop the zero
        return [found] if found else []
    name, comma, last = text.rpartition(",")
    state = normalize_state(last) if comma else ""
    if comma and not state:
        return []
    name = name if comma else text
    named = dict.fromkeys(
        county for key in county_names(name) for county in _by_name().get(key, ()) if state in ("", county.state)
    )
    cities = [county for county in named if county.name.endswith(" (city)")]
    if _SAYS_CITY.search(name) and cities:
        named = dict.fromkeys(cities)
    elif _SAYS_COUNTY.search(name):
        named = dict.fromkeys(county for county in named if county not in cities)
    return sorted(named, key=lambda county: (county.state, county.name, county.fips))


def county_by_fips(fips: str) -> County | None:
    return _counties().get(fips)


def county_box(fips: str) -> Box | None:
    """Left, top, right, bottom in the frame of the maps; None where they do not show the county."""
    return _boxes().get(fips)


def counties_in_state(state: str) -> list[County]:
    """The counties of a state (two letters), by name."""
    return [county for county in _counties().values() if county.state == state]


@lru_cache(maxsize=1)
def states() -> dict[str, State]:
    """The states, territories and the District, by two letters, in the order of their names."""
    rows = (line.split("\t") for line in _lines("states.tsv"))
    return {code: State(code=code, fips=fips, name=name, box=_box(box)) for code, fips, name, *box in rows}


def county_names(text: str) -> list[str]:
    """The spellings by which a county's name is looked up, the most exact first.

    Without accents, case, spaces and punctuation; Saint is St; with and without what kind of county it is.
    """
    words = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = " ".join(words.replace(".", " ").split())
    words = re.sub(r"\bsaint\b", "st", re.sub(r"\bsainte\b", "ste", words))
    plain = _PREFIX.sub("", _SUFFIX.sub("", words))
    return list(dict.fromkeys(re.sub(r"[^a-z0-9]", "", one) for one in (words, plain, _CITY.sub("", plain)) if one))


def _lines(name: str) -> list[str]:
    return (HERE / name).read_text(encoding="utf-8").splitlines()[1:]


def _box(fields: list[str]) -> Box | None:
    if not fields[0]:
        return None
    left, top, right, bottom = (float(one) for one in fields)
    return left, top, right, bottom


@lru_cache(maxsize=1)
def _zips() -> dict[str, str]:
    # Lines are taken apart when they are asked for: most ZIPs never are.
    return {line[:5]: line for line in _lines("zips.tsv")}


@lru_cache(maxsize=1)
def _counties() -> dict[str, County]:
    rows = (line.split("\t", 3) for line in _lines("counties.tsv"))
    return {fips: County(fips, name, state) for fips, name, state, _ in rows}


@lru_cache(maxsize=1)
def _boxes() -> dict[str, Box]:
    rows = (line.split("\t") for line in _lines("counties.tsv"))
    return {fips: found for fips, _, _, *box in rows if (found := _box(box))}


@lru_cache(maxsize=1)
def _by_name() -> dict[str, list[County]]:
    found: defaultdict[str, list[County]] = defaultdict(list)
    for county in _counties().values():
        for key in county_names(county.name):
            found[key].append(county)
    return found


@lru_cache(maxsize=1)
def _zips_by_county() -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for zip_code, line in _zips().items():
        found[line[6:11]].append(zip_code)
    found.pop("", None)
    return found


@lru_cache(maxsize=1)
def _zips_by_state() -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for zip_code, line in _zips().items():
        found[line.split("\t", 4)[3]].append(zip_code)
    return found
