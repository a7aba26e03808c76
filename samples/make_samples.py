#!/usr/bin/env python3
"""Make the three sample lists beside this file, the same bytes every time.

    python3 samples/make_samples.py [--today 2026-11-01]

Counties, towns, streets, companies and people are invented. States and ZIPs are real ones, so that the addresses
look like addresses; telephone numbers are from the block kept for fiction, e-mail is at example.com.
"""

import argparse
import csv
import datetime as dt
import io
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SEED = 20261101
TODAY = dt.date(2026, 11, 1)
TAX, VENDOR, CODE = "alder-county-tax-delinquent.csv", "vendor-preforeclosure-probate.csv", "code-enforcement.csv"

# county, state, (town, ZIP), houses to build
COUNTIES = (
    ("ALDER", "OH", (("Wexholm", "44805"), ("Pellworth", "44842"), ("Tamber Falls", "44864")), 1750),
    ("BRINK", "PA", (("Orrickton", "17815"), ("Dunmarrow", "17821")), 800),
    ("CYPRESS", "FL", (("Lake Quillon", "33852"), ("Fennimora", "33870")), 700),
)
STREETS = (
    "Quillfeather", "Marrowstone", "Tamberline", "Wexcombe", "Pellhurst", "Orrisfield", "Dunmallow", "Fennimar",
    "Brackenwell", "Lanternmoor", "Thistlegate", "Copperfen", "Sorrelby", "Hazelmarch", "Ivywick", "Juniperfold",
    "Kestrelmoor", "Larkenham", "Mossgrave", "Nettlebury", "Oatenshaw", "Pinderly", "Quarrymead", "Rushmallow",
    "Saltermere", "Tansyworth", "Umberleigh", "Vetchley", "Willowmarch", "Yarrowgate",
)  # fmt: skip
SUFFIXES = (("ST", "Street"), ("AVE", "Avenue"), ("RD", "Road"), ("LN", "Lane"), ("DR", "Drive"), ("CT", "Court"))
DIRECTIONS = (("N", "North"), ("S", "South"), ("E", "East"), ("W", "West"))
FIRST = (
    "Ambrosia", "Barnabus", "Clementia", "Dorabel", "Eglantyne", "Ferdinando", "Griselle", "Horatius", "Isolina",
    "Jessamyn", "Kerensa", "Leopoldo", "Marigolda", "Nicodemo", "Ottilie", "Peregrino", "Quintessa", "Rosalba",
    "Sylvanus", "Theodosia", "Ulyssa", "Valeriano", "Wilhelma", "Xanthippa", "Yolandine", "Zebediah",
)  # fmt: skip
LAST = (
    "Applethwick", "Bumblecroft", "Candlewicket", "Dapperfield", "Elderwhistle", "Fiddlebrook", "Gingerstone",
    "Hobblethorn", "Inkberrow", "Jollywater", "Kettledrum", "Lampwright", "Muddlefoot", "Nutbrownlow", "Oddfellowes",
    "Pumpernell", "Quibbleton", "Rumplemere", "Snickersby", "Tumbledown", "Underbough", "Velvetine", "Whimsworth",
    "Yellowhammer", "Zigglesworth", "O'Thimble", "Van Dimple", "St. Marzipan",
)  # fmt: skip
COMPANIES = (
    "Paper Lantern Holdings LLC", "Imaginary Acres LLC", "Second Teapot Properties Inc", "Made Up Homes LP",
    "Nowhere Lane Rentals LLC", "Fable & Sons Realty Trust",
)  # fmt: skip
AWAY = (("Larkmoor", "TX", "75201"), ("Upper Fancy", "NY", "12207"), ("Mirth Beach", "CA", "92101"))
VIOLATIONS = ("High grass and weeds", "Unsecured structure", "Trash and debris", "Peeling paint", "Broken windows")


@dataclass(frozen=True)
class House:
    """One property as the world has it; each list spells it in its own way."""

    county: str
    state: str
    town: str
    zip: str
    number: int
    direction: int | None
    street: str
    suffix: int
    unit: str
    parcel: str
    first: str
    last: str
    co_first: str
    company: str
    mailing: tuple[str, str, str, str] | None  # None: the owner lives there

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes it a property of its own."""
        return (self.number, self.direction, self.street, self.suffix, self.unit, self.zip)

    def street_short(self) -> str:
        direction = "" if self.direction is None else f"{DIRECTIONS[self.direction][0]} "
        return f"{direction}{self.street} {SUFFIXES[self.suffix][0]}"

    def street_long(self) -> str:
        direction = "" if self.direction is None else f"{DIRECTIONS[self.direction][1]} "
        return f"{direction}{self.street} {SUFFIXES[self.suffix][1]}"


@dataclass
class Samples:
    """The files by name, and the numbers that their import must arrive at."""

    files: dict[str, bytes] = field(default_factory=dict)
    properties: int = 0  # distinct ones, over all lists
    rows: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    blank: dict[str, int] = field(default_factory=dict)


def make_samples(*, today: dt.date = TODAY) -> Samples:
    """All three lists; every date in them lies before `today`."""
    rng = random.Random(SEED)  # noqa: S311 - invented data
    houses = _build(rng)
    alder = [house for house in houses if house.county == "ALDER"]
    others = [house for house in houses if house.county != "ALDER"]
    taxed = sorted(rng.sample(alder, 1330), key=lambda house: house.parcel)
    # A house in trouble is seldom in one list only.
    known = set(taxed)
    untaxed = [house for house in alder if house not in known]
    told = rng.sample(taxed, 360) + rng.sample(untaxed, 250) + others[:700]
    cited = rng.sample(taxed, 300) + rng.sample(told[:360], 110) + rng.sample(others[:700], 190) + others[700:1400]
    told, cited = list(dict.fromkeys(told)), list(dict.fromkeys(cited))
    rng.shuffle(told)
    rng.shuffle(cited)

    samples = Samples()
    samples.files[TAX] = _tax_list(rng, taxed, today, samples)
    samples.files[VENDOR] = _vendor_list(rng, told, today, samples)
    samples.files[CODE] = _code_list(rng, cited, today, samples)
    samples.properties += len({house.identity for house in (*taxed, *told, *cited)})
    return samples


def _build(rng: random.Random) -> list[House]:
    houses: dict[tuple[object, ...], House] = {}
    for county, state, towns, wanted in COUNTIES:
        made = 0
        while made < wanted:
            town, zip_code = rng.choice(towns)
            number, street = rng.randrange(100, 9900), rng.choice(STREETS)
            direction = rng.randrange(4) if rng.random() < 0.3 else None
            suffix = rng.randrange(len(SUFFIXES))
            # One place in thirty is a condominium: a few units, each a property.
            units = [f"{floor}{door}" for floor in (1, 2) for door in "ABC"] if rng.random() < 0.03 else [""]
            for unit in units[: wanted - made]:
                house = _house(rng, county, state, town, zip_code, number, direction, street, suffix, unit, made)
                if house.identity not in houses:
                    houses[house.identity] = house
                    made += 1
    return list(houses.values())


def _house(
    rng: random.Random,
    county: str,
    state: str,
    town: str,
    zip_code: str,
    number: int,
    direction: int | None,
    street: str,
    suffix: int,
    unit: str,
    serial: int,
) -> House:
    first, last = rng.choice(FIRST), rng.choice(LAST)
    mailing = None
    chance = rng.random()
    if chance < 0.12:
        mailing = (f"{rng.randrange(10, 9000)} {rng.choice(STREETS)} Ave", town, state, zip_code)
    elif chance < 0.22:
        away_town, away_state, away_zip = rng.choice(AWAY)
        street_line = f"{rng.randrange(10, 9000)} {rng.choice(STREETS)} Blvd"
        line = f"PO Box {rng.randrange(10, 9000)}" if rng.random() < 0.3 else street_line
        mailing = (line, away_town, away_state, away_zip)
    return House(
        county=county,
        state=state,
        town=town,
        zip=zip_code,
        number=number,
        direction=direction,
        street=street,
        suffix=suffix,
        unit=unit,
        parcel=f"{rng.randrange(10, 99)}-{serial + 1000:05d}-{rng.randrange(1, 99):03d}-00",
        first=first,
        last=last,
        co_first=rng.choice(FIRST) if rng.random() < 0.2 else "",
        company=rng.choice(COMPANIES) if rng.random() < 0.07 else "",
        mailing=mailing,
    )


def _days_ago(rng: random.Random, today: dt.date, *, recent: float, oldest: int) -> dt.date:
    """Mostly the last three months; the rest spread back, so that clocks have decayed or run out."""
    days = rng.randrange(3, 90) if rng.random() < recent else rng.randrange(90, oldest)
    return today - dt.timedelta(days=days)


def _tax_list(rng: random.Random, houses: Sequence[House], today: dt.date, samples: Samples) -> bytes:
    """As an assessor's office exports it: capitals, parcel numbers, one line a parcel and tax year."""
    columns = (
        "PARCEL_ID", "SITUS_ADDR", "SITUS_CITY", "SITUS_ST", "SITUS_ZIP", "OWNER1", "OWNER2", "MAIL_ADDR", "MAIL_CITY",
        "MAIL_ST", "MAIL_ZIP", "LAND_USE", "TAX_YEAR", "AMT_DUE", "DELINQUENT_DATE",
    )  # fmt: skip
    rows: list[Sequence[str]] = []
    blank = 0
    for place, house in enumerate(houses):
        unit = f" UNIT {house.unit}" if house.unit else ""
        line = f"{house.number} {house.street_short()}{unit}"
        mail_line, mail_city, mail_state, mail_zip = house.mailing or (line, house.town, house.state, house.zip)
        delinquent = _days_ago(rng, today, recent=0.35, oldest=900)
        for year in sorted({delinquent.year - 1, delinquent.year - 2} if place % 20 == 0 else {delinquent.year - 1}):
            cells = (
                house.parcel,
                line,
                house.town,
                house.state,
                # Some offices print the ZIP+4, some a number that lost its text format.
                f"{house.zip}-{rng.randrange(1000, 9999)}" if rng.random() < 0.1 else house.zip,
                house.company or f"{house.last} {house.first}",
                f"{house.last} {house.co_first}" if house.co_first and not house.company else "",
                mail_line,
                mail_city,
                mail_state,
                mail_zip,
                "550" if house.unit else "510",
                str(year),
                f"{rng.randrange(20_000, 1_900_000) / 100:.2f}",
                f"{delinquent:%m/%d/%Y}",
            )
            rows.append(tuple(cell.upper() for cell in cells))
        if place % 120 == 60:  # a lot without a house: only its parcel number tells it from its neighbours
            lot = f"{house.parcel[:-2]}50"
            rows.append((lot, f"0 {house.street_short()}".upper(), *rows[-1][2:11], "500", *rows[-1][12:]))
            samples.properties += 1
        if place in {400, 900}:
            rows.append(("",) * len(columns))  # a page break of the county's printer
            blank += 1
    samples.rows[TAX], samples.rejected[TAX], samples.blank[TAX] = len(rows) - blank, 0, blank
    return _csv(columns, rows, delimiter=",")


def _vendor_list(rng: random.Random, houses: Sequence[House], today: dt.date, samples: Samples) -> bytes:
    """As a list vendor sells it: written out, mixed case, its own tags, telephone numbers."""
    columns = (
        "Property Address", "Property City", "Property State", "Property Zip", "Owner First Name", "Owner Last Name",
        "Mailing Address", "Mailing City", "Mailing State", "Mailing Zip", "List Date", "Case Number", "Est. Equity",
        "Phone", "Email", "Tags",
    )  # fmt: skip
    rows: list[Sequence[str]] = []
    for serial, house in enumerate(houses):
        unit = f" Unit {house.unit}" if house.unit else ""
        line = f"{house.number} {house.street_long()}{unit}"
        place: tuple[str, ...] = (line, house.town, house.state, house.zip)
        if rng.random() < 0.15:  # the whole address in one cell
            place = (f"{line}, {house.town}, {house.state} {house.zip}", "", "", "")
        is_probate = rng.random() < 0.35
        tags = ["Probate" if is_probate else rng.choice(["Pre-foreclosure", "Pre-Foreclosure", "Foreclosure"])]
        for name, share in (("Vacant", 0.15), ("Divorce", 0.06), ("High Equity", 0.2), ("Probate", 0.12)):
            if rng.random() < share and name not in tags:
                tags.append(name)
        if house.mailing and house.mailing[2] != house.state:
            tags.append("Absentee Out of State")
        mailing = house.mailing or (line, house.town, house.state, house.zip)
        listed = _days_ago(rng, today, recent=0.6, oldest=560)
        owner = ("", house.company) if house.company else (house.first, house.last)
        email = f"{house.first}.{serial}@example.com".lower() if rng.random() < 0.4 else ""
        rows.append(
            (
                *place,
                *owner,
                *(mailing if rng.random() < 0.9 else ("", "", "", "")),
                f"{listed:%Y-%m-%d}" if rng.random() < 0.7 else f"{listed.month}/{listed.day}/{listed.year}",
                f"{'PB' if is_probate else 'PF'}-{listed.year}-{serial:05d}",
                f"{rng.randrange(5, 100)}%",
                f"({rng.choice(['419', '570', '863'])}) 555-01{rng.randrange(100):02d}" if rng.random() < 0.6 else "",
                email,
                "; ".join(tags),
            )
        )
        if serial % 40 == 0:  # sold twice
            rows.append(rows[-1])
    samples.rows[VENDOR], samples.rejected[VENDOR], samples.blank[VENDOR] = len(rows), 0, 0
    return _csv(columns, rows, delimiter=",")


def _code_list(rng: random.Random, houses: Sequence[House], today: dt.date, samples: Samples) -> bytes:
    """As a shared register prints it: title lines, semicolons, the address in one cell, streets without a number."""
    columns = ("Case No", "Location", "Violation", "Violation Date", "Status", "Owner of Record")
    rows: list[Sequence[str]] = []
    rejected = blank = 0
    for serial, house in enumerate(houses):
        street = house.street_long() if rng.random() < 0.5 else house.street_short().title()
        unit = f" {rng.choice(['Apt', 'Unit', '#'])} {house.unit}" if house.unit else ""
        tail = f", {house.town} {house.state} {house.zip}"
        date = _days_ago(rng, today, recent=0.5, oldest=500)
        rest = (
            rng.choice(VIOLATIONS),
            f"{date.month}/{date.day}/{date.year}",
            "Open",
            house.company or f"{house.last}, {house.first}",
        )
        rows.append((f"CE-{serial + 1:05d}", f"{house.number} {street}{unit}{tail}", *rest))
        if serial % 15 == 0:  # a second violation at the same place
            rows.append((f"CE-{serial + 1:05d}B", f"{house.number} {street}{unit}{tail}", *rest))
        if serial % 75 == 10:  # an inspector who noted the street only
            rows.append((f"CE-{serial + 1:05d}X", f"{street}{tail}", *rest))
            rejected += 1
        if serial % 300 == 150:
            rows.append(("",) * len(columns))
            blank += 1
    samples.rows[CODE], samples.rejected[CODE], samples.blank[CODE] = len(rows) - blank, rejected, blank
    preamble = f"Three Rivers Code Enforcement Exchange (invented)\r\nOpen cases as of {today:%m/%d/%Y}\r\n\r\n"
    return preamble.encode() + _csv(columns, rows, delimiter=";")


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]], *, delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the sample lists beside this file.")
    parser.add_argument("--today", type=dt.date.fromisoformat, default=TODAY, help="the day the dates lead up to")
    samples = make_samples(today=parser.parse_args().today)
    for name, content in samples.files.items():
        (Path(__file__).parent / name).write_bytes(content)
        print(f"{name}: {samples.rows[name]} rows, {samples.rejected[name]} to be rejected")  # noqa: T201
    print(f"{samples.properties} properties")  # noqa: T201


if __name__ == "__main__":
    main()
