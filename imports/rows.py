"""One row of a file, cleaned: what it says in the words of a Lead, ready for staging. Pure Python."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from imports import values
from imports.files import RawRow
from leads.addresses import (
    Address,
    address_key,
    is_spoiled_parcel_number,
    is_summary,
    join_parcel_parts,
    normalize_address,
    normalize_city,
    normalize_mailing,
    normalize_state,
    parcel_number_forms,
)

NO_ADDRESS = "no address: the address is blank and there is no parcel number"
NOTHING_TO_TELL_APART = "neither a house number nor a parcel number: nothing tells this property from its neighbours"
MEND_PARCEL = "format that column as text and export the list again"

STREET_PARTS = ("house_number", "street_pre_direction", "street_name", "street_suffix", "street_post_direction")
MAILING_PARTS = tuple(
    f"mailing_{part}" for part in ("address", "address_2", "unit", "city", "state", "zip", "city_state_zip")
)
CACHE_SIZE = 10_000
_encode = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for rows that do not say it themselves."""

    source: str
    city: str
    state: str
    tag_ids: tuple[int, ...]


@dataclass(slots=True)
class CleanRow:
    """One row as it is staged. Text fields are "" when blank; a `problem` means rejected, saying why."""

    line: int
    problem: str = ""
    key_stem: str = ""
    place: str = ""
    has_house_number: bool = False
    address: str = ""
    unit: str = ""
    city: str = ""
    state: str = ""
    zip: str = ""
    plus4: str = ""
    county: str = ""
    raw_address: str = ""
    is_address_parsed: bool = True
    is_place_unknown: bool = False
    parcel_number: str = ""
    parcel_marked: str = ""
    owner_name: str = ""
    co_owner: str = ""
    mailing_address: str = ""
    mailing_unit: str = ""
    mailing_city: str = ""
    mailing_state: str = ""
    mailing_zip: str = ""
    raw_mailing: str = ""
    phone: str = ""
    email: str = ""
    tag_ids: tuple[int, ...] = ()
    asserted_at: dt.datetime | None = None
    extra: str | None = None


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(CleanRow))


def source_key(source: str) -> str:
    """How sources compare: without case, spaces and punctuation."""
    return "".join(c for c in source.casefold() if c.isalnum())


class RowCleaner:
    """Cleans the rows of one file. `find_tag(name)` gives a tag id, or None for a tag that rejects its row."""

    def __init__(
        self,
        *,
        columns: Sequence[str],
        fields: Mapping[str, int],
        defaults: Defaults,
        find_tag: Callable[[str], int | None],
    ) -> None:
        self.columns = columns
        self.fields = fields
        self.defaults = defaults
        self.find_tag = find_tag
        used = set(fields.values())
        self.extra_columns = [(i, name) for i, name in enumerate(columns) if i not in used]
        self._field_columns = list(fields.items())
        self.spoiled = 0
        """Rows so far whose parcel number a spreadsheet has destroyed."""
        self._tag_cache: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {}
        self._dates: dict[str, dt.datetime | None] = {}

    def clean(self, raw: RawRow) -> CleanRow:
        """The row as a CleanRow; one that cannot land carries its problem and all its cells."""
        row = CleanRow(line=raw.line)
        problem = raw.problem or self._fill(row, raw.cells)
        if problem:
            return CleanRow(line=raw.line, problem=problem, extra=_json({"cells": raw.cells}))
        return row

    def _fill(self, row: CleanRow, cells: Sequence[str]) -> str:
        """Fill the row from its cells; the answer is the reason to reject it, or ""."""
        said = {name: text for name, i in self._field_columns if (text := values.clean_text(cells[i]))}
        extra = {name: text for i, name in self.extra_columns if (text := values.clean_text(cells[i]))}
        street = self._street(said)
        whole = street
        if tail := said.get("city_state_zip"):
            whole = f"{street}, {tail}" if street else tail
        address = normalize_address(
            whole,
            unit=said.get("unit", ""),
            city=said.get("city", ""),
            state=said.get("state", ""),
            zip=said.get("zip", ""),
        )
        if not street:  # what was read is the place alone
            address = replace(address, line="", unit="", house_number="", is_parsed=True)
        raw_parcel = said.get("parcel_number") or self._parcel_parts(said)
        if raw_parcel:
            row.parcel_number, row.parcel_marked = parcel_number_forms(raw_parcel)
            if not row.parcel_number and "parcel_number" in said:
                extra[self.columns[self.fields["parcel_number"]]] = raw_parcel
                self.spoiled += is_spoiled_parcel_number(raw_parcel)
        if not address.house_number and (problem := _nothing_to_go_by(street, raw_parcel, row.parcel_number)):
            return problem
        self._place(row, address)
        written = [said[name] for name in ("unit", "city_state_zip", "city", "state", "zip") if name in said]
        row.raw_address = ", ".join([street, *written]) if street else ", ".join(written)
        if "county" in said:
            row.county = said["county"].upper()
        self._people(row, said)
        if listed := said.get("list_date"):
            row.asserted_at = self._date(listed)
            if row.asserted_at is None:
                extra[self.columns[self.fields["list_date"]]] = listed
        tag_ids, unknown = self._tags(said.get("tags", ""))
        if unknown:
            return f"unknown tag {', '.join(unknown)}: create it first, or let the import create unknown tags"
        row.tag_ids = tag_ids
        row.extra = _json(extra) if extra else None
        return ""

    def _street(self, said: Mapping[str, str]) -> str:
        """The street line as written, from one column or from its parts; "" when nothing is said."""
        street = said.get("address", "")
        if not street:
            street = " ".join(said[part] for part in STREET_PARTS if part in said)
        elif "house_number" in said and not street[0].isdigit():
            street = f"{said['house_number']} {street}"
        return "" if values.is_placeholder(street) else street

    def _parcel_parts(self, said: Mapping[str, str]) -> str:
        if "parcel_lot" not in said and "parcel_block" not in said:
            return ""
        return join_parcel_parts(*(said.get(f"parcel_{part}", "") for part in ("block", "lot", "qualifier")))

    def _date(self, text: str) -> dt.datetime | None:
        """Midnight UTC of a list date; None when it cannot be read. Lists repeat few dates."""
        if text not in self._dates:
            date = values.parse_list_date(text)
            at = None if date is None else dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC)
            if len(self._dates) >= CACHE_SIZE:
                return at
            self._dates[text] = at
        return self._dates[text]

    def _place(self, row: CleanRow, address: Address) -> None:
        """Address, place and base key: ZIP5; else CITY|ST; else the source, apart from all others."""
        defaults = self.defaults
        row.address, row.unit = address.line, address.unit
        row.zip, row.plus4 = address.zip, address.plus4
        row.city, row.state = address.city, address.state
        if not row.city and row.state in {"", defaults.state}:
            row.city = defaults.city
        if not row.state:
            row.state = defaults.state
        row.is_address_parsed = address.is_parsed
        row.has_house_number = bool(address.house_number)
        row.key_stem = address_key(row.address, row.unit, "")
        if row.zip:
            row.place = row.zip
        elif row.city and row.state:
            row.place = f"{row.city}|{row.state}"
        else:
            # Two towns of one county list may share a street: the city stays in the key.
            row.place = "|".join(filter(None, (row.city, f"~{source_key(defaults.source)}")))
            row.is_place_unknown = True

    def _people(self, row: CleanRow, said: Mapping[str, str]) -> None:
        owner = said.get("owner_name") or " ".join(
            said[name] for name in ("owner_first_name", "owner_last_name") if name in said
        )
        if owner and not values.is_placeholder(owner):
            row.owner_name = owner
        row.co_owner = said.get("co_owner", "")
        if "phone" in said:
            row.phone = values.clean_phone(said["phone"])
        if "email" in said:
            row.email = values.clean_email(said["email"])
        written = [said[name] for name in MAILING_PARTS if name in said]
        if not written:
            return
        row.raw_mailing = ", ".join(written)
        mailing = normalize_mailing(
            said.get("mailing_address", ""),
            unit=said.get("mailing_unit", ""),
            line2=said.get("mailing_address_2", ""),
            city=said.get("mailing_city", ""),
            state=said.get("mailing_state", ""),
            zip=said.get("mailing_zip", ""),
            city_state_zip=said.get("mailing_city_state_zip", ""),
        )
        row.mailing_address, row.mailing_unit = mailing.line, mailing.unit
        row.mailing_city, row.mailing_state, row.mailing_zip = mailing.city, mailing.state, mailing.zip

    def _tags(self, text: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Ids of the file's tags and this cell's, and the names that the person chose to reject."""
        if not text:
            return self.defaults.tag_ids, ()
        known = self._tag_cache.get(text)
        if known is None:
            ids, unknown = dict.fromkeys(self.defaults.tag_ids), []
            for name in values.split_tags(text):
                tag_id = self.find_tag(name)
                if tag_id is None:
                    unknown.append(name)
                else:
                    ids[tag_id] = None
            known = (tuple(ids), tuple(unknown))
            if len(self._tag_cache) < CACHE_SIZE:
                self._tag_cache[text] = known
        return known


def _nothing_to_go_by(street: str, raw_parcel: str, parcel_number: str) -> str:
    """Why a row without house number can be no lead; "" where its parcel number does."""
    if parcel_number:
        return (
            ""
            if street or not is_summary(raw_parcel)
            else f'a line of the list itself ("{raw_parcel:.60}"), no property'
        )
    if is_spoiled_parcel_number(raw_parcel):
        return (
            f'a spreadsheet spoiled the parcel number ("{raw_parcel:.20}"), and there is no house number: {MEND_PARCEL}'
        )
    return NOTHING_TO_TELL_APART if street else NO_ADDRESS


def _json(value: Any) -> str:
    # Lone surrogates cannot be stored; everything else is kept as it was.
    return _encode(value).encode("utf-8", "replace").decode("utf-8")


def default_place(text: str) -> tuple[str, str]:
    """City and state of a default place such as "Hoboken, NJ"; ValueError says how to write it."""
    city, _, state = text.rpartition(",")
    place = normalize_city(city), normalize_state(state)
    if not all(place):
        raise ValueError(f"The place {text!r} is not understood; write city and state, such as “Hoboken, NJ”.")
    return place
