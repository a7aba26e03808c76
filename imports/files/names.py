"""The fields a column can feed, and the header names that county and vendor files use for them."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from typing import Literal, NamedTuple

Side = Literal["", "property", "mailing"]


@dataclass(frozen=True, slots=True)
class Field:
    """A mapped field: what people call it, and header names that mean it, best first."""

    label: str
    synonyms: tuple[str, ...]


class Meaning(NamedTuple):
    """What a header name says. `part` is a field, or a part of an address whose side must still be found."""

    part: str
    side: Side
    level: int
    """0 = says exactly this; higher = weaker, wins only where nothing better is there."""


# Prefixes, with the level they add: "Situs Address" is the property, "Owner Address" where mail goes.
_PROPERTY = {
    "property": 0,
    "situs": 0,
    "site": 0,
    "subject": 0,
    "subject property": 0,
    "premise": 0,
    "premises": 0,
    "physical": 0,
    "property physical": 0,
    "property situs": 0,
    "property site": 0,
    "parcel": 1,
    "property location": 1,
    "location": 1,
    "building": 1,
    "house": 1,
    "real estate": 1,
    "incident": 1,
    "violation": 1,
    "case": 2,
    "foreclosure": 2,
    "auction": 2,
    "service": 2,
    "asset": 2,
    "listing": 2,
    "associated property": 1,
    "property address": 0,
    "situs address": 0,
    "site address": 0,
    "location address": 1,
    "physical address": 0,
}
_MAILING = {
    "mailing": 0,
    "owner mailing": 0,
    "owners mailing": 0,
    "taxpayer mailing": 0,
    "property mailing": 0,
    "tax mailing": 0,
    "contact mailing": 1,
    "owner": 1,
    "owners": 1,
    "owner 1": 1,
    "current owner": 1,
    "postal": 1,
    "taxpayer": 2,
    "tax bill": 3,
    "tax bill mailing": 1,
    "tax billing": 3,
    "billing": 3,
    "bill": 3,
    "bill to": 3,
    "correspondence": 3,
    "contact": 4,
    "contact owner": 2,
    "contact owner mailing": 1,
    "contact owner mailing address": 1,
    "mailing address": 0,
    "owner address": 1,
    "owner mailing address": 0,
    "taxpayer address": 2,
    "postal address": 1,
}
# Parts of an address, each with its names and their levels; they stand alone or behind (before) a prefix.
_PARTS: dict[str, dict[str, int]] = {
    "address": {
        "address": 0,
        "full address": 0,
        "address full": 0,
        "street address": 0,
        "address 1": 0,
        "address line 1": 0,
        "address line": 0,
        "address street": 0,
        "street address 1": 0,
        "street address line 1": 0,
        "address line one": 0,
        "street line 1": 1,
        "street 1": 1,
        "line 1": 2,
        "full": 2,
    },
    "address_2": {
        "address 2": 0,
        "address line 2": 0,
        "street address 2": 0,
        "street address line 2": 0,
        "address line two": 0,
        "street 2": 1,
        "line 2": 2,
    },
    "unit": {
        "unit": 0,
        "unit number": 0,
        "unit no": 0,
        "apartment": 0,
        "apt": 0,
        "apt number": 0,
        "apartment number": 0,
        "apt unit": 0,
        "apt suite": 0,
        "unit apt": 0,
        "suite": 1,
        "suite number": 1,
        "ste": 1,
        "address unit": 0,
        "condo unit": 1,
        "unit designation": 1,
        "secondary number": 1,
    },
    "city": {
        "city": 0,
        "city name": 0,
        "town": 1,
        "municipality": 1,
        "municipality name": 1,
        "town city": 1,
        "city town": 1,
        "address city": 0,
        "post office": 2,
        "locality": 2,
    },
    "state": {
        "state": 0,
        "st": 1,
        "state abbreviation": 0,
        "state abbr": 0,
        "state code": 1,
        "state province": 0,
        "province": 2,
        "address state": 0,
    },
    "zip": {
        "zip": 0,
        "zip 5": 0,
        "zip 4": 3,
        "zip plus 4": 1,
        "postal": 2,
        "address zip": 0,
        "zip number": 0,
    },
    "city_state_zip": {
        "city state zip": 0,
        "city st zip": 0,
        "csz": 0,
        "city state": 1,
        "city state and zip": 0,
        "city and state": 1,
        "city zip": 1,
        "citystatezip": 0,
        "city state zip country": 1,
        "last line": 2,
    },
}
_PROPERTY_PARTS: dict[str, dict[str, int]] = {
    "house_number": {
        "house number": 0,
        "street number": 0,
        "address number": 0,
        "st number": 1,
        "str number": 1,
        "house": 2,
        "location number": 1,
        "house num": 0,
    },
    "street_pre_direction": {
        "street pre direction": 0,
        "pre direction": 0,
        "predirection": 0,
        "pre dir": 0,
        "predir": 0,
        "street predirection": 0,
        "street predir": 0,
        "street direction": 1,
        "street direction prefix": 0,
        "street prefix": 1,
        "street dir": 1,
        "direction": 2,
        "dir": 2,
        "prefix direction": 0,
        "st dir": 1,
        "pre directional": 0,
        "directional prefix": 0,
        "house direction": 1,
    },
    "street_name": {
        "street name": 0,
        "st name": 1,
        "str name": 1,
        "road name": 1,
        "street": 1,
        "location street": 1,
        "full street name": 1,
        "full street": 1,
        "full str": 1,
        "street full name": 1,
        "street base name": 1,
    },
    "street_suffix": {
        "street suffix": 0,
        "street type": 0,
        "st type": 0,
        "st suffix": 0,
        "street name suffix": 0,
        "road type": 1,
        "suffix type": 1,
        "street post type": 0,
        "street sfx": 0,
        "str sfx": 0,
        "street designation": 1,
        "street mode": 1,
        "mode": 3,
        "suffix": 3,
    },
    "street_post_direction": {
        "street post direction": 0,
        "post direction": 0,
        "postdirection": 0,
        "post dir": 0,
        "postdir": 0,
        "street postdirection": 0,
        "street postdir": 0,
        "suffix direction": 0,
        "street suffix direction": 0,
        "post directional": 0,
        "direction suffix": 0,
        "directional suffix": 0,
    },
    "county": {"county": 0, "county name": 0},
}
# Names that stand for themselves, without prefixes.
_PLAIN: dict[str, dict[str, int]] = {
    "house_number": {"situs number": 0, "situs street number": 0, "site number": 1, "premise number": 1},
    "address": {
        "property location": 0,
        "parcel location": 0,
        "situs": 1,
        "situs location": 0,
        "site location": 0,
        "location address": 0,
        "physical location": 0,
        "location of property": 0,
        "address of property": 0,
        "property street": 1,
        "situs street": 1,
        "situs street address": 0,
        "location": 4,
        "premises": 3,
        "property": 5,
        "street address of property": 0,
        "delinquent property": 3,
        "incident location": 2,
        "violation location": 2,
    },
    "owner_name": {
        "owner name": 0,
        "owner": 0,
        "owners": 0,
        "owners name": 0,
        "owner names": 0,
        "owner 1": 0,
        "owner name 1": 0,
        "owner 1 name": 0,
        "owner full name": 0,
        "owner 1 full name": 0,
        "owner of record": 0,
        "property owner": 0,
        "owner name full": 0,
        "party owner 1 name full": 0,
        "owner 1 label name": 0,
        "property owner name": 0,
        "name of owner": 0,
        "current owner": 0,
        "current owner name": 0,
        "primary owner": 0,
        "deed owner": 1,
        "deeded owner": 1,
        "legal owner": 0,
        "first owner": 0,
        "llc owner": 0,
        "owner llc": 0,
        "owner or taxpayer": 1,
        "owner line 1": 0,
        "owners of record": 0,
        "taxpayer": 2,
        "taxpayer name": 2,
        "tax payer name": 2,
        "assessee": 2,
        "assessed owner": 1,
        "mailing name": 3,
        "mailing name 1": 3,
        "owner mailing name": 2,
        "grantee owner": 3,
        "grantee owner 1": 3,
        "full name": 3,
        "contact name": 4,
        "defendant": 4,
        "defendant name": 4,
        "landlord": 3,
        "landlord name": 3,
        "borrower": 4,
        "borrower name": 4,
        "mortgagor": 4,
        "name": 5,
        "names": 5,
    },
    "owner_first_name": {
        "owner first name": 0,
        "owner 1 first name": 0,
        "owner first": 1,
        "owner 1 first": 1,
        "owner fname": 0,
        "first name": 1,
        "firstname": 1,
        "fname": 1,
        "given name": 2,
        "contact first name": 2,
    },
    "owner_last_name": {
        "owner last name": 0,
        "owner 1 last name": 0,
        "owner last": 1,
        "owner 1 last": 1,
        "owner lname": 0,
        "last name": 1,
        "lastname": 1,
        "lname": 1,
        "surname": 2,
        "family name": 2,
        "contact last name": 2,
    },
    "co_owner": {
        "co owner": 0,
        "co owner name": 0,
        "coowner": 0,
        "coowner name": 0,
        "owner 2": 0,
        "owner name 2": 0,
        "owner 2 name": 0,
        "owner 2 full name": 0,
        "second owner": 0,
        "second owner name": 0,
        "secondary owner": 0,
        "additional owner": 1,
        "other owner": 2,
        "joint owner": 0,
        "owner line 2": 1,
        "mailing name 2": 3,
        "grantee owner 2": 3,
        "name 2": 5,
    },
    "parcel_number": {
        "parcel number": 0,
        "parcel id": 0,
        "parcel id number": 0,
        "parcel": 1,
        "parcel key": 1,
        "parcel identification number": 0,
        "parcel identifier": 0,
        "parcel num": 0,
        "apn": 0,
        "apn number": 0,
        "apn formatted": 0,
        "apn unformatted": 1,
        "formatted apn": 0,
        "formatted parcel number": 0,
        "parcel number formatted": 0,
        "parcel id formatted": 0,
        "assessor parcel number": 0,
        "assessors parcel number": 0,
        "assessor parcel id": 0,
        "pin": 1,
        "pin number": 1,
        "pid": 1,
        "pidn": 1,
        "property id": 2,
        "property id number": 2,
        "property identification number": 2,
        "property number": 2,
        "property key": 3,
        "tax parcel": 1,
        "tax parcel id": 1,
        "tax parcel number": 1,
        "tax id": 2,
        "tax id number": 2,
        "tax key": 1,
        "tax key number": 1,
        "tax map number": 2,
        "tax map": 3,
        "tax map id": 2,
        "map parcel": 2,
        "map block lot": 1,
        "mbl": 1,
        "mblu": 1,
        "block lot": 1,
        "block and lot": 1,
        "block lot number": 1,
        "bbl": 1,
        "strap": 1,
        "folio": 1,
        "folio number": 1,
        "schedule number": 2,
        "geo id": 3,
        "account number": 3,
        "account": 4,
        "account id": 3,
        "acct number": 3,
        "acct": 4,
        "property account": 2,
        "property account number": 2,
        "tax account": 4,
        "tax account number": 4,
        "real estate account": 3,
        "real estate number": 2,
        "re number": 3,
        "permanent parcel number": 0,
        "ain": 1,
        "map par id": 2,
        "parcel account number": 1,
        "ppn": 1,
        "upi": 2,
        "gpin": 1,
        "opa number": 2,
        "opa account number": 2,
        "alternate key": 6,
        "alternate id": 6,
    },
    "parcel_block": {"block": 0, "block number": 0, "tax block": 0, "parcel block": 0, "blk": 1},
    "parcel_lot": {"lot": 0, "lot number": 0, "tax lot": 0, "parcel lot": 0},
    "parcel_qualifier": {
        "qual": 0,
        "qualifier": 0,
        "qualification": 1,
        "lot qualifier": 0,
        "parcel qualifier": 0,
    },
    "list_date": {
        "list date": 0,
        "notice date": 0,
        "date of notice": 0,
        "filing date": 0,
        "filed date": 0,
        "date filed": 0,
        "file date": 0,
        "case filed date": 0,
        "case filing date": 0,
        "recorded date": 1,
        "recording date": 1,
        "date recorded": 1,
        "record date": 2,
        "violation date": 0,
        "date of violation": 0,
        "violation recorded date": 0,
        "violation issued date": 0,
        "violation notice date": 0,
        "case open date": 0,
        "case opened date": 0,
        "case opened": 1,
        "opened date": 1,
        "open date": 1,
        "date opened": 1,
        "case date": 1,
        "issue date": 2,
        "issued date": 2,
        "date issued": 2,
        "citation date": 1,
        "complaint date": 1,
        "inspection date": 3,
        "lis pendens date": 0,
        "foreclosure date": 2,
        "foreclosure filing date": 0,
        "default date": 1,
        "date of death": 2,
        "lien date": 1,
        "delinquent date": 1,
        "delinquency date": 1,
        "entered date": 3,
        "date entered": 3,
        "reported date": 2,
        "date reported": 2,
        "date added": 3,
        "added date": 3,
        "added on": 3,
        "scraped at": 4,
        "scrape date": 4,
        "date": 5,
    },
    "tags": {
        "tags": 0,
        "tag": 0,
        "lead tags": 0,
        "tag names": 0,
        "tag name": 0,
        "list tags": 0,
        "labels": 3,
        "lead type": 4,
    },
    "phone": {
        "phone": 0,
        "phone number": 0,
        "phone 1": 0,
        "phone number 1": 0,
        "phone 1 number": 0,
        "owner phone": 0,
        "owner phone number": 0,
        "primary phone": 0,
        "telephone": 0,
        "telephone number": 0,
        "tel": 1,
        "mobile": 1,
        "mobile phone": 1,
        "mobile number": 1,
        "cell": 2,
        "cell phone": 1,
        "cell number": 1,
        "home phone": 2,
        "contact phone": 1,
        "contact phone number": 1,
    },
    "email": {
        "email": 0,
        "e mail": 0,
        "email 1": 0,
        "email address": 0,
        "e mail address": 0,
        "owner email": 0,
        "owner email address": 0,
        "primary email": 0,
        "contact email": 1,
    },
}

_LABELS = {
    "address": "Property address",
    "house_number": "House number",
    "street_pre_direction": "Direction before the street",
    "street_name": "Street name",
    "street_suffix": "Street suffix",
    "street_post_direction": "Direction after the street",
    "unit": "Unit",
    "city": "City",
    "state": "State",
    "zip": "ZIP",
    "city_state_zip": "City, state and ZIP",
    "county": "County",
    "owner_name": "Owner",
    "owner_first_name": "Owner's first name",
    "owner_last_name": "Owner's last name",
    "co_owner": "Second owner",
    "mailing_address": "Mailing address",
    "mailing_address_2": "Mailing address, second line",
    "mailing_unit": "Mailing unit",
    "mailing_city": "Mailing city",
    "mailing_state": "Mailing state",
    "mailing_zip": "Mailing ZIP",
    "mailing_city_state_zip": "Mailing city, state and ZIP",
    "parcel_number": "Parcel number",
    "parcel_block": "Block",
    "parcel_lot": "Lot",
    "parcel_qualifier": "Qualifier",
    "list_date": "List date",
    "tags": "Tags",
    "phone": "Phone",
    "email": "Email",
}

# One spelling for each word, so that the tables above need only the full one.
_WORDS = {
    "addr": "address",
    "adr": "address",
    "addrs": "address",
    "adrs": "address",
    "addresses": "address",
    "addres": "address",
    "adress": "address",
    "prop": "property",
    "own": "owner",
    "ownr": "owner",
    "ownername": "owner name",
    "ownernme": "owner name",
    "mail": "mailing",
    "mlg": "mailing",
    "mailto": "mailing",
    "nm": "name",
    "no": "number",
    "num": "number",
    "nbr": "number",
    "nmbr": "number",
    "dt": "date",
    "prcl": "parcel",
    "pcl": "parcel",
    "parcelid": "parcel id",
    "taxkey": "tax key",
    "loc": "location",
    "locn": "location",
    "bldg": "building",
    "acct": "account",
    "blk": "block",
    "zipcode": "zip",
    "postcode": "zip",
    "tel": "telephone",
    "phy": "physical",
    "pstl": "postal",
    "zipcd": "zip",
    "nme": "name",
    "sfx": "suffix",
}
_NOISE = {"rem", "the", "a"}  # "rem" begins every name in assessor exports of one vendor
_ABBREVIATED = {
    "account": ("account", "acct"),
    "address": ("address", "addr", "adr"),
    "building": ("building", "bldg"),
    "location": ("location", "loc"),
    "mailing": ("mailing", "mail"),
    "name": ("name", "nm"),
    "number": ("number", "num", "no", "nbr"),
    "owner": ("owner", "own"),
    "parcel": ("parcel", "prcl"),
    "property": ("property", "prop"),
    "street": ("street", "str", "st"),
}
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_DIGITS = re.compile(r"(?<=[a-z])(?=[0-9])")
_DUPLICATE = re.compile(r" \(\d+\)$")
_PLURAL = re.compile(r"\(s\)", re.IGNORECASE)


@lru_cache(maxsize=4096)
def header_key(name: str) -> str:
    """A header name in one spelling: "Prop_Addr 1" -> "propertyaddress1"."""
    return "".join(_words(name))


@lru_cache(maxsize=4096)
def meaning(name: str) -> Meaning | None:
    """What a header name says; None if it is not known, or repeats an earlier column ("Address (2)")."""
    if len(name) > 80 or name[:1].isdigit() or _DUPLICATE.search(name):
        return None
    key = header_key(name)
    return _table().get(key) or _table().get(re.sub(r"[^a-z0-9]", "", name.lower()))


def known_parts(names: Iterable[str]) -> set[tuple[str, str]]:
    """The different things a row of header names speaks of; two or more make it a header row."""
    found: set[tuple[str, str]] = set()
    for name in names:
        if name and (known := meaning(name.strip())) is not None and known.level < 5:
            found.add((known.part, known.side))
    return found


def _words(name: str) -> Iterator[str]:
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    text = text.replace("'", "").replace("`", "").replace("#", " number ").replace("&", " and ")
    text = _PLURAL.sub("", text)
    text = _DIGITS.sub(" ", _CAMEL.sub(" ", text).lower())
    words = [_WORDS.get(word, word) for word in re.split(r"[^a-z0-9]+", text) if word and word not in _NOISE]
    joined = " ".join(words)
    for pair, single in (
        ("zip code", "zip"),
        ("zip cd", "zip"),
        ("postal code", "zip"),
        ("post code", "zip"),
        ("tax payer", "taxpayer"),
    ):
        joined = joined.replace(pair, single)
    # "Parcel Number #" says number twice
    return iter(joined.replace("number number", "number").split(" "))


def _phrases() -> Iterator[tuple[str, Meaning]]:
    for part, names in _PLAIN.items():
        for name, level in names.items():
            yield name, Meaning(part, "property" if part == "address" else "", level)
    for part, names in _PARTS.items():
        for name, level in names.items():
            if name != "full":  # that says nothing alone
                yield name, Meaning(part, "", level + 2)
            for prefix, extra in _MAILING.items():
                yield f"{prefix} {name}", Meaning(part, "mailing", level + extra)
                if part == "address":
                    yield f"{prefix} street", Meaning(part, "mailing", extra)
            yield f"{name} mailing", Meaning(part, "mailing", level)
            for prefix, extra in _PROPERTY.items():
                yield f"{prefix} {name}", Meaning(part, "property", level + extra)
            for suffix in ("property", "situs"):
                yield f"{name} {suffix}", Meaning(part, "property", level)
    for part, names in _PROPERTY_PARTS.items():
        for name, level in names.items():
            yield name, Meaning(part, "property", level + 2)
            for prefix, extra in _PROPERTY.items():
                yield f"{prefix} {name}", Meaning(part, "property", level + extra)


@cache
def _table() -> dict[str, Meaning]:
    """Meanings by key; made when first asked for, since most processes never read a header."""
    table: dict[str, Meaning] = {}
    for phrase, what in _phrases():
        for key in {header_key(phrase), phrase.replace(" ", "")}:
            if key not in table or what.level < table[key].level:
                table[key] = what
    for phrase, what in _phrases():  # glued abbreviations: PROPADDR, OWNERNM
        words = phrase.split(" ")
        if 2 <= len(words) <= 3:
            for spelling in product(*(_ABBREVIATED.get(word, (word,)) for word in words)):
                table.setdefault("".join(spelling), what)
    return table


def _field(name: str) -> Field:
    own = {**_PLAIN.get(name, {}), **_PROPERTY_PARTS.get(name, {}), **_PARTS.get(name, {})}
    if name.startswith("mailing_"):
        part = name.removeprefix("mailing_")
        own = {f"mailing {phrase}": level for phrase, level in _PARTS[part].items()}
    return Field(_LABELS[name], tuple(sorted(own, key=lambda phrase: own[phrase])))


FIELDS: dict[str, Field] = {name: _field(name) for name in _LABELS}
