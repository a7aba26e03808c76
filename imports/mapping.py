"""Which column feeds which field: suggested from header names and content, then as the person says."""

import re
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple, Self

from imports.files import UnusableFile
from imports.files.names import FIELDS, Field, Meaning, Side, header_key, meaning

__all__ = [
    "FIELDS",
    "Field",
    "Mapping",
    "MappingError",
    "apply_overrides",
    "require_address",
    "suggest_mapping",
]

_PLACE_PARTS = {"city", "state", "zip", "city_state_zip"}
_ADDRESS_PARTS = (
    "house_number",
    "street_pre_direction",
    "street_name",
    "street_suffix",
    "street_post_direction",
)


class MappingError(ValueError):
    """A field or column that does not exist was named; `str()` lists the choices."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """Field -> index of its column (from 0), and the columns that feed no field."""

    fields: dict[str, int]
    extra: tuple[int, ...]
    columns: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, with the names of the columns for people."""
        return {
            "fields": {name: {"column": self._name(at), "index": at} for name, at in self.fields.items()},
            "extra": [{"column": self._name(at), "index": at} for at in self.extra],
        }

    @classmethod
    def from_dict(cls, data: Dictionary[str, Any]) -> Self:
        fields = {name: int(entry["index"]) for name, entry in data["fields"].items()}
        extra = tuple(int(entry["index"]) for entry in data["extra"])
        names = {int(e["index"]): str(e["column"]) for e in [*data["fields"].values(), *data["extra"]]}
        columns = tuple(names[at] for at in sorted(names)) if any(names.values()) else ()
        return cls(fields, extra, columns)

    def _name(self, at: int) -> str:
        return self.columns[at] if at < len(self.columns) else ""


def _mapping(fields: Dictionary[str, int], columns: Sequence[str]) -> Mapping:
    ordered = {name: fields[name] for name in FIELDS if name in fields}
    used = set(ordered.values())
    return Mapping(ordered, tuple(i for i in range(len(columns)) if i not in used), tuple(columns))


# -- what a column holds

_SUFFIX_WORDS = [
    "st",
    "street",
    "ave",
    "av",
    "aven",
    "avenue",
    "rd",
    "road",
    "dr",
    "drive",
    "ln",
    "lane",
    "ct",
    "court",
    "cir",
    "circle",
    "blvd",
    "boulevard",
    "pl",
    "place",
    "ter",
    "terr",
    "terrace",
    "trl",
    "trail",
    "way",
    "pkwy",
    "pky",
    "parkway",
    "hwy",
    "highway",
    "pike",
    "loop",
    "aly",
    "alley",
    "sq",
    "square",
    "row",
    "run",
    "path",
    "xing",
    "crossing",
    "cv",
    "cove",
    "hts",
    "heights",
    "rte",
    "route",
    "rt",
    "ext",
    "plz",
    "plaza",
    "pt",
    "point",
    "bnd",
    "bend",
    "holw",
    "hollow",
    "rdg",
    "ridge",
    "walk",
    "broadway",
    "mall",
    "expy",
]
_STREET = re.compile(rf"\b({'|'.join(_SUFFIX_WORDS)})\b", re.IGNORECASE)
_NUMBERED = re.compile(r"#?\d+[A-Z]?([-/]\d+[A-Z]?)?(\s+\d/\d)?\s+(?=\S*[^\W\d])\S", re.IGNORECASE)
_PO_BOX = re.compile(r"\bP\.?\s*O\.?\s*BOX\b", re.IGNORECASE)
_UNIT = re.compile(r"\b(apt|unit|ste|suite|bldg|lot|fl|floor|rm|trlr|no)\b|#|^\s*[A-Z]?-?\d{1,4}[A-Z]?\s*$", re.I)
_ZIP = re.compile(r"\d{3,5}(\.0)?$|\d{5}[- ]?\d{4}$|\d{5}-$")
_DATE = re.compile(r"\d{1,4}[-/. ]\d{1,2}[-/. ]\d{1,5}|\d{8}$|[A-Z]{3,9}\.? \d{1,2},? \d{4}|\d{1,2}[- ][A-Z]{3}", re.I)
_PHONE = re.compile(r"[\d\s().+ext-]{7,}$", re.IGNORECASE)
_ORDINAL = re.compile(r"\d+(st|nd|rd|th)\b", re.IGNORECASE)
_NUMBER = re.compile(r"[\s$(-]*\d[\d,]*(\.\d+)?[\s)]*$")


def looks_like_address(text: str) -> bool:
    """Whether a cell can be a street line (or a whole address): a number and a word, or a street suffix."""
    text = text.strip()
    if _NUMBER.match(text) or not any(c.isalpha() for c in text):
        return False
    return bool(_NUMBERED.match(text) or _STREET.search(text) or _PO_BOX.search(text))


_HOLDS: dict[str, Callable[[str], object]] = {
    "address": looks_like_address,
    "zip": lambda text: _ZIP.match(text.strip()),
    "state": lambda text: text.strip().replace(" ", "").isalpha() and len(text.strip()) <= 20,
    "city": lambda text: any(c.isalpha() for c in text) and not _NUMBERED.match(text.strip()),
    "city_state_zip": lambda text: any(c.isalpha() for c in text) and not _NUMBERED.match(text.strip()),
    "list_date": lambda text: _DATE.match(text.strip()),
    "phone": lambda text: _PHONE.match(text.strip()),
    "email": lambda text: "@" in text,
    "owner_name": lambda text: any(c.isalpha() for c in text),
    "house_number": lambda text: any(c.isdigit() for c in text) and len(text.strip()) <= 15,
    "street_name": lambda text: any(c.isalnum() for c in text) and len(text) <= 60,
    "street_pre_direction": lambda text: len(text.strip()) <= 10,
    "street_post_direction": lambda text: len(text.strip()) <= 10,
    "street_suffix": lambda text: text.strip().isalpha(),
    "unit": lambda text: len(text.strip()) <= 30,
    "second_line": lambda text: _UNIT.search(text) and len(text.strip()) <= 30,
}
# Below this share of fitting cells a column is not what its name says; a weaker name must show more.
_ASKED = (0.1, 0.3, 0.3, 0.3, 0.5, 0.5)
_PLACEHOLDERS = frozenset({"", "-", "--", "0", "n/a", "na", "null", "none", "unknown", ".", "tbd"})


class _Content:
    """The sampled cells of each column, without blanks and placeholders."""

    def __init__(self, sample: Sequence[Sequence[str]], width: int) -> None:
        self._cells: list[list[str]] = [
            [row[at] for row in sample if at < len(row) and row[at].strip().lower() not in _PLACEHOLDERS]
            for at in range(width)
        ]
        self._sample = sample
        self.size = len(sample)

    def cells(self, at: int) -> list[str]:
        return self._cells[at]

    def pairs(self, one: int, other: int) -> list[tuple[str, str]]:
        """The cells of two columns, in capitals, of the rows that fill both."""
        rows = ((row[one].upper(), row[other].upper()) for row in self._sample if max(one, other) < len(row))
        return [(left, right) for left, right in rows if left.strip() and right.strip()]

    def is_blank(self, at: int) -> bool:
        return self.size > 0 and not self._cells[at]

    def starts_with_digit(self, at: int) -> float:
        """The share of cells that begin with a number; "42ND ST" begins with a name."""
        cells = [cell.strip() for cell in self._cells[at]]
        return sum(1 for c in cells if c[:1].isdigit() and not _ORDINAL.match(c)) / len(cells) if cells else 0.0

    def repeats(self, at: int) -> bool:
        """Whether the cells are a few short names again and again, as tags are; true where nothing is known."""
        cells = self._cells[at]
        names = {cell.strip().lower() for cell in cells}
        is_short = all(len(name) <= 40 and not any(c.isdigit() for c in name) for name in names)
        return is_short and len(names) <= max(5, len(cells) // 4)

    def share(self, at: int, part: str) -> float:
        """The share of cells that can be `part`; 1 where nothing is known."""
        test = _HOLDS.get(part)
        cells = self._cells[at]
        if test is None or not cells:
            return 1.0
        return sum(1 for cell in cells if test(cell)) / len(cells)


# -- suggesting


class _Candidate(NamedTuple):
    cost: float
    at: int
    field: str


def suggest_mapping(columns: Sequence[str], sample: Sequence[Sequence[str]] = ()) -> Mapping:
    """The best column for each field, by header name, neighbours and content; one column a field.

    `sample`: the first 200 rows or so. Columns that match nothing, or only as second best, stay extra.
    """
    content = _Content(sample, len(columns))
    said: dict[int, Meaning] = {}
    for at, name in enumerate(columns):
        what = meaning(name)
        if what is None or content.share(at, what.part) < _ASKED[min(what.level, 5)]:
            continue
        if what.part == "tags" and what.level > 3 and not content.repeats(at):
            continue  # "Lead Type" of a system that numbers or describes its leads there
        said[at] = what
    said = _take_sides(said, content)
    candidates = []
    for at, what in said.items():
        name = _field_of(what)
        if what.part != "address_2" or name != "unit" or content.share(at, "second_line") >= 0.5:
            # A blank column loses against any other of its kind.
            candidates.append(_Candidate(what.level + (20 if content.is_blank(at) else 0), at, name))
    fields: dict[str, int] = {}
    used: set[int] = set()
    for _, at, name in sorted(candidates):
        if name not in fields and at not in used:
            fields[name] = at
            used.add(at)
    return _mapping(_whole_or_parts(fields, content), columns)


def _field_of(what: Meaning) -> str:
    """The field for a part whose side is known."""
    if what.part == "address_2":
        return "mailing_address_2" if what.side == "mailing" else "unit"
    if what.side == "mailing":
        return f"mailing_{what.part}"
    return what.part


def _take_sides(said: dict[int, Meaning], content: _Content) -> dict[int, Meaning]:
    """Decide for plain "Address", "City", "Zip" whether the property or the mailing address is meant.

    A plain Address is the property, unless another column is so by name: then it is the mailing address.
    City, state, ZIP and unit go with the nearest address column before them.
    """
    addresses = {at: what for at, what in said.items() if what.part == "address" and not content.is_blank(at)}
    plain = [at for at, what in addresses.items() if not what.side]
    named_property = [at for at, what in addresses.items() if what.side == "property" and what.level <= 3]
    named_mailing = [at for at, what in addresses.items() if what.side == "mailing"]
    if not named_property:
        # Assessors' rolls: "Location" is the property then, and "Address" where the owner lives.
        located = [at for at, what in addresses.items() if what.side == "property"]
        named_property = [at for at in located if any(_differ(content, at, other) for other in plain)]
    side_of: dict[int, Side] = {at: what.side for at, what in said.items() if what.part == "address"}
    sides = {what.side for what in addresses.values()}
    streets = [at for at, what in said.items() if what.part == "street_name" and what.level <= 2]
    for at in plain:
        if named_property or (streets and not named_mailing and min(streets) < at):
            side_of[at] = "mailing"
        else:
            side_of[at] = "property"
    named = {what.side for what in said.values() if what.part in _PLACE_PARTS}
    resolved: dict[int, Meaning] = {}
    current: Side = ""
    for at in sorted(said):
        what = said[at]
        if what.part == "address":
            current = side_of[at] or "property"
            resolved[at] = what._replace(side=current)
        elif what.side or what.part not in _PLACE_PARTS | {"address_2", "unit"}:
            if what.part in {"street_name", "house_number"}:
                current = "property"
            resolved[at] = what
        else:
            side: Side = current or "property"
            if side == "mailing" and "mailing" in named and "property" not in named:
                side = "property"  # the mailing columns are called so: "Mailing Zip", "Zip"
            elif side == "property" and "property" in named and "mailing" not in named and "mailing" in sides:
                side = "mailing"
            resolved[at] = what._replace(side=side)
    return resolved


def _differ(content: _Content, location: int, address: int) -> bool:
    """Whether two columns of addresses hold different ones."""
    if location == address:
        return False
    pairs = content.pairs(location, address)
    different = sum(1 for one, other in pairs if one.split() != other.split())
    return len(pairs) > 0 and different > 0.2 * len(pairs)


def _whole_or_parts(fields: dict[str, int], content: _Content) -> dict[str, int]:
    """One way to the street line: the whole, or house number and street."""
    fields = dict(fields)
    whole, number, street = fields.get("address"), fields.get("house_number"), fields.get("street_name")
    if whole is None:
        if street is not None and number is None and content.starts_with_digit(street) > 0.5:
            fields["address"] = fields.pop("street_name")  # "Street" with the number in it
        return fields
    is_numbered = number is not None and not content.is_blank(number)
    is_named = street is not None and not content.is_blank(street)
    is_bare = bool(content.cells(whole)) and content.starts_with_digit(whole) < 0.2
    if is_named and (content.is_blank(whole) or (is_numbered and is_bare)):
        del fields["address"]
        return fields
    if is_numbered and is_bare:  # "House No" and an "Address" without numbers
        fields["street_name"] = fields.pop("address")
        return fields
    for part in _ADDRESS_PARTS:
        fields.pop(part, None)
    return fields


# -- overriding


def apply_overrides(mapping: Mapping, overrides: Dictionary[str, str], columns: Sequence[str]) -> Mapping:
    """The mapping with what the person said: FIELD -> header name or number from 1; "" unmaps.

    A header that is itself a number goes before the number; "#3" is always the third column.
    Raises MappingError for a field or column that does not exist.
    """
    chosen: dict[str, int] = {}
    fields = dict(mapping.fields)
    for given, wanted in overrides.items():
        name = _known_field(given)
        fields.pop(name, None)
        if wanted.strip():
            chosen[name] = _known_column(wanted, columns)
    taken = set(chosen.values())
    fields = {name: at for name, at in fields.items() if at not in taken}
    parts = {"house_number", "street_name"} & chosen.keys()
    if parts and "address" in fields and "address" not in chosen:
        # The street line is built of parts then; what was taken for the whole is the street.
        at = fields.pop("address")
        if "street_name" not in chosen and "street_name" not in fields:
            fields["street_name"] = at
    elif "address" in chosen:
        for part in _ADDRESS_PARTS:
            fields.pop(part, None)
    return _mapping({**fields, **chosen}, columns)


def _known_field(given: str) -> str:
    key = header_key(given)
    for name, what in FIELDS.items():
        if given.strip().lower() == name or key in {header_key(name), header_key(what.label)}:
            return name
    raise MappingError(f"There is no field {given!r:.60}. Fields: {', '.join(FIELDS)}.")


def _known_column(wanted: str, columns: Sequence[str]) -> int:
    wanted = wanted.strip()
    number = wanted.removeprefix("#")
    if number != wanted and number.isdecimal():
        return _numbered(number, columns)
    tests: tuple[Callable[[str], str], ...] = (str.strip, str.casefold, header_key)
    for same in tests:
        found = [at for at, name in enumerate(columns) if same(name) == same(wanted) and same(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise MappingError(
                f"More than one column is called {wanted!r}: give its number, "
                f"one of {', '.join(str(at + 1) for at in found)}."
            )
    if wanted.isdecimal():
        return _numbered(wanted, columns)
    near = get_close_matches(wanted.lower(), [name.lower() for name in columns], n=1)
    hint = next((f" Did you mean {name!r}?" for name in columns if near and name.lower() == near[0]), "")
    raise MappingError(f"There is no column {wanted!r:.60}.{hint} Columns: {_listed(columns)}.")


def _numbered(number: str, columns: Sequence[str]) -> int:
    if len(number) < 6 and 1 <= int(number) <= len(columns):
        return int(number) - 1
    raise MappingError(f"There is no column {number:.20}: the file has {len(columns)} columns.")


def _listed(columns: Sequence[str], limit: int = 60) -> str:
    more = f", and {len(columns) - limit:,} more" if len(columns) > limit else ""
    return ", ".join(columns[:limit]) + more


# -- refusing

_NAME_IT = "Name it with MAP address=COLUMN."
_BUILDING = {
    "yearbuilt", "yrbuilt", "stories", "bdrms", "bedrooms", "beds", "fbath", "hbath", "baths", "bathrooms",
    "rooms", "numberofrooms", "nrofrms", "style", "extwall", "finsqft", "finishedsqft", "sqft", "squarefeet",
    "livingarea", "lotsize", "units", "proptype", "propertytype", "condoproject",
}  # fmt: skip
_SALE_DATES = {"saledate", "solddate", "datesold", "dateofsale", "closingdate", "closedate", "lastsaledate"}
_SALE_PRICES = {
    "saleprice",
    "soldprice",
    "salesprice",
    "saleamount",
    "closeprice",
    "lastsaleprice",
    "pricesold",
}
_TEST_SET = {"input", "expected"}


def require_address(
    mapping: Mapping,
    columns: Sequence[str],
    sample: Sequence[Sequence[str]],
    *,
    explicit: frozenset[str] = frozenset(),
) -> None:
    """Raise UnusableFile unless some column holds property addresses.

    Lists that have addresses but are no lead lists (sale histories, test sets) are refused too, as is an
    address column without addresses; `explicit`, the fields that the person mapped, overrules that.
    """
    fields = mapping.fields
    if "address" not in fields and "street_name" not in fields:
        raise UnusableFile(_no_address(mapping, columns), columns=columns, remedy=_NAME_IT)
    if {_known_field(name) for name in explicit} & {"address", "street_name"}:
        return
    people = fields.keys() & {
        "owner_name", "owner_first_name", "owner_last_name", "co_owner", "mailing_address",
        "mailing_city_state_zip",
    }  # fmt: skip
    keys = {re.sub(r"[^a-z0-9]", "", name.lower()) for name in columns}
    name = "address" if "address" in fields else "street_name"
    at = fields[name]
    anyway = f"To import it all the same, say so: MAP {name}={at + 1}."
    if not people and keys & _SALE_DATES and keys & _SALE_PRICES and len(keys & _BUILDING) >= 3:
        raise UnusableFile(
            "This is a history of sales, not a lead list: it has sale dates, prices and building details, but "
            "no owner and no mailing address.",
            columns=columns,
            remedy=anyway,
        )
    if not people and keys & _TEST_SET and not fields.keys() & {"city", "zip", "parcel_number", "tags", "list_date"}:
        raise UnusableFile(
            "This is a set of test addresses (it has a column of inputs), not a lead list.",
            columns=columns,
            remedy=anyway,
        )
    content = _Content(sample, len(columns))
    cells = content.cells(at)
    share = content.share(at, "address")
    if name == "address" and len(cells) >= 5 and share < 0.1:
        shown = "; ".join(repr(cell.strip()[:40]) for cell in cells[:3])
        raise UnusableFile(
            f'The column "{columns[at]}" does not hold property addresses: it begins {shown}. '
            f"Columns found: {_listed(columns)}.",
            columns=columns,
            remedy=_NAME_IT,
        )


def _no_address(mapping: Mapping, columns: Sequence[str]) -> str:
    message = "No column with a property address was found"
    mailing = mapping.fields.get("mailing_address")
    if mailing is not None:
        message += f' ("{columns[mailing]}" is where the owner gets mail)'
    return f"{message}. Columns found: {_listed(columns)}."
