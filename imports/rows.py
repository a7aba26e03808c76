"""One row of a file, cleaned: what it says in the words of a Lead, ready for staging. Pure Python."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from imports import values
from imports.files import RawRow
from leads.addresses import (
    Address,
    address_key,
    join_parcel_parts,
    normalize_address,
    normalize_city,
    normalize_mailing,
    normalize_parcel_number,
    normalize_state,
)

NO_ADDRESS = "no address: the address is blank and there is no parcel number"
NOTHING_TO_TELL_APART = "neither a house number nor a parcel number: nothing tells this property from its neighbours"


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


def _nothing(cells: Sequence[str]) -> str:
    return ""


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
        self._tag_cache: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {}
        self._street_parts = [
            name
            for name in (
                "house_number",
                "street_pre_direction",
                "street_name",
                "street_suffix",
                "street_post_direction",
            )
            if name in fields
        ]

    def clean(self, raw: RawRow) -> CleanRow:
        """The row as a CleanRow; one that cannot land carries its problem and all its cells."""
        row = CleanRow(line=raw.line)
        problem = raw.problem or self._fill(row, raw.cells)
        if problem:
            return CleanRow(line=raw.line, problem=problem, extra=_json({"cells": raw.cells}))
        return row

    def _fill(self, row: CleanRow, cells: Sequence[str]) -> str:
        """Fill the row from its cells; the answer is the reason to reject it, or ""."""
        fields = self.fields

        def cell(name: str) -> str:
            index = fields.get(name)
            return values.clean_text(cells[index]) if index is not None else ""

        lost: dict[str, str] = {}
        street = cell("address")
        if not street and self._street_parts:
            street = " ".join(filter(None, (cell(part) for part in self._street_parts)))
        elif street and "house_number" in fields and not street[:1].isdigit():
            street = f"{cell('house_number')} {street}".strip()
        if values.is_placeholder(street):
            street = ""
        whole = street
        if "city_state_zip" in fields and (tail := cell("city_state_zip")):
            whole = f"{street}, {tail}" if street else tail
        address = normalize_address(whole, unit=cell("unit"), city=cell("city"), state=cell("state"), zip=cell("zip"))
        if not street:
            address = Address(
                line="",
                unit="",
                city=address.city,
                state=address.state,
                zip=address.zip,
                plus4=address.plus4,
                house_number="",
                is_parsed=True,
            )
        raw_parcel = self._parcel(cell)
        row.parcel_number = normalize_parcel_number(raw_parcel)
        if raw_parcel and not row.parcel_number and "parcel_number" in fields:
            lost[self.columns[fields["parcel_number"]]] = raw_parcel
        if not row.parcel_number and not address.house_number:
            return NOTHING_TO_TELL_APART if street else NO_ADDRESS
        self._place(row, address)
        row.raw_address = ", ".join(
            filter(None, (street, *(cell(n) for n in ("unit", "city_state_zip", "city", "state", "zip"))))
        )
        row.county = cell("county").upper()
        self._people(row, cell)
        row.phone, row.email = values.clean_phone(cell("phone")), values.clean_email(cell("email"))
        if listed := cell("list_date"):
            date = values.parse_list_date(listed)
            if date is None:
                lost[self.columns[fields["list_date"]]] = listed
            else:
                row.asserted_at = dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC)
        tag_ids, unknown = self._tags(cell("tags"))
        if unknown:
            return f"unknown tag {', '.join(unknown)}: create it first, or let the import create unknown tags"
        row.tag_ids = tag_ids
        extra = {name: text for i, name in self.extra_columns if (text := values.clean_text(cells[i]))} | lost
        row.extra = _json(extra) if extra else None
        return ""

    def _parcel(self, cell: Callable[[str], str]) -> str:
        if number := cell("parcel_number"):
            return number
        if "parcel_lot" in self.fields or "parcel_block" in self.fields:
            return join_parcel_parts(cell("parcel_block"), cell("parcel_lot"), cell("parcel_qualifier"))
        return ""

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

    def _people(self, row: CleanRow, cell: Callable[[str], str]) -> None:
        owner = cell("owner_name") or " ".join(filter(None, (cell("owner_first_name"), cell("owner_last_name"))))
        row.owner_name = "" if values.is_placeholder(owner) else owner
        row.co_owner = cell("co_owner")
        parts = {
            name: cell(f"mailing_{name}")
            for name in ("address", "address_2", "unit", "city", "state", "zip", "city_state_zip")
        }
        if not any(parts.values()):
            return
        row.raw_mailing = ", ".join(filter(None, parts.values()))
        mailing = normalize_mailing(
            parts["address"],
            unit=parts["unit"],
            line2=parts["address_2"],
            city=parts["city"],
            state=parts["state"],
            zip=parts["zip"],
            city_state_zip=parts["city_state_zip"],
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
            if len(self._tag_cache) < 10_000:
                self._tag_cache[text] = known
        return known


def _json(value: Any) -> str:
    # Lone surrogates cannot be stored; everything else is kept as it was.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8")


def default_place(text: str) -> tuple[str, str]:
    """City and state of a default place such as "Hoboken, NJ"; ValueError says how to write it."""
    city, _, state = text.rpartition(",")
    place = normalize_city(city), normalize_state(state)
    if not all(place):
        raise ValueError(f"The place {text!r} is not understood; write city and state, such as “Hoboken, NJ”.")
    return place
