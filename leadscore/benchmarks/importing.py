"""`benchmark import`: a county list end to end, against a raw COPY of the same file and django-import-export."""

import csv
import datetime as dt
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import connection
from django.test import override_settings

from imports.operations import receive_file, start_import
from jobs.operations import run_job
from leads.models import Lead
from leadscore.benchmarks.bench import PeakMemory, Report, run_sql, say, scratch_database, seconds_of

AT = dt.datetime(2026, 6, 15, 12, 0, tzinfo=dt.UTC)
PEER_ROWS = 3_000
HEADER = [
    "Parcel ID", "Property Address", "City", "State", "ZIP", "Owner Name", "Mailing Address", "Mailing City",
    "Mailing State", "Mailing ZIP", "Tags", "List Date", "Amount Due", "Case Number",
]  # fmt: skip
STREETS = ["Maple", "Old Mill", "North Ridge", "Washington", "Cedar Hollow", "Elm", "St Clair", "Lakeview"]
SUFFIXES = ["Street", "Ave", "Avenue", "Rd", "Drive", "Ln", "Court", "Blvd"]
TOWNS = [("Springfield", "OH", 45500), ("Fairview", "OH", 45600), ("Milton", "PA", 17800), ("Clinton", "NJ", 8800)]
TAGS = ["Tax Delinquent", "Vacant", "Code Violation", "Probate", "Pre-foreclosure", "High Equity"]


def add_options(parser: Any) -> None:
    parser.add_argument("--rows", type=int, default=100_000)


def run(*, rows: int) -> Report:
    """Write the file, import it into a scratch database, twice; measure the floor and the peer there too."""
    with (
        tempfile.TemporaryDirectory() as folder,
        override_settings(UPLOAD_DIR=Path(folder) / "uploads"),
        scratch_database(),
    ):
        path = Path(folder) / "list.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerows(_rows(rows))
        return _measure(path, rows)


def _rows(count: int) -> Iterator[list[str]]:
    """Invented rows, always the same: one in ten with its address in one line, a mailing address on each."""
    dice = random.Random(20260615)  # noqa: S311
    for n in range(count):
        street = f"{100 + n} {dice.choice(['', '', 'N ', 'West '])}{dice.choice(STREETS)} {dice.choice(SUFFIXES)}"
        town, state, first_zip = dice.choice(TOWNS)
        unit = f" Apt {dice.randint(1, 40)}" if dice.random() < 0.15 else ""
        zip_code = f"{first_zip + n % 40:05d}"
        mail_town, mail_state, mail_zip = dice.choice(TOWNS)
        mailing = [f"{dice.randint(1, 9999)} {dice.choice(STREETS)} {dice.choice(SUFFIXES)}", mail_town, mail_state]
        if n % 10 == 0:
            place = [f"{street}{unit}, {town}, {state} {zip_code}", "", "", ""]
        else:
            place = [f"{street}{unit}", town, state, zip_code]
        tags = ";".join(dice.sample(TAGS, dice.randint(1, 3)))
        date = (AT - dt.timedelta(days=dice.randint(0, 600))).strftime("%m/%d/%Y")
        owner = f"{dice.choice(['Ada', 'Bo', 'Cy', 'Dee'])} Invented {n % 70_000}"
        amount, case = f"${dice.randint(100, 90_000):,}.00", f"CV-{n:07d}"
        yield [f"P{n:08d}", *place, owner, *mailing, f"{mail_zip:05d}", tags, date, amount, case]


def _import(path: Path, at: dt.datetime) -> None:
    with path.open("rb") as content:
        batch = receive_file(content=content, name=path.name, at=at, by=None)
    job = run_job(job_id=start_import(batch=batch, at=at, by=None, announce=False).pk)
    assert job is not None
    assert job.status == "succeeded", job.error


def _copy(path: Path) -> None:
    columns = ", ".join(f"c{n} text" for n in range(len(HEADER)))
    run_sql(f"CREATE UNLOGGED TABLE floor_copy ({columns})")
    with (
        connection.cursor() as cursor,
        path.open("rb") as file,
        cursor.copy("COPY floor_copy FROM STDIN (FORMAT csv, HEADER)") as copy,
    ):
        while block := file.read(1 << 20):
            copy.write(block)
    run_sql("DROP TABLE floor_copy")


def _peer_rows_per_s(path: Path) -> float | None:
    """django-import-export with use_bulk on the first rows: no cleaning, no tags, no score."""
    try:
        import tablib
        from import_export.fields import Field
        from import_export.resources import ModelResource
    except ImportError:
        say("django-import-export is not installed (requirements-dev.txt): the peer is left out")
        return None

    class LeadResource(ModelResource):
        address_key = Field(attribute="address_key", column_name="Parcel ID")
        address = Field(attribute="address", column_name="Property Address")
        city = Field(attribute="city", column_name="City")
        state = Field(attribute="state", column_name="State")
        zip = Field(attribute="zip", column_name="ZIP")
        owner_name = Field(attribute="owner_name", column_name="Owner Name")
        mailing_address = Field(attribute="mailing_address", column_name="Mailing Address")

        class Meta:
            model = Lead
            import_id_fields = ("address_key",)
            fields = ("address_key", "address", "city", "state", "zip", "owner_name", "mailing_address")
            use_bulk = True
            force_init_instance = False

        def before_save_instance(self, instance: Any, row: Any, **kwargs: Any) -> None:
            instance.created_at = instance.updated_at = AT

    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        data = tablib.Dataset(headers=next(reader))
        for row in reader:
            data.append(row)
            if len(data) == PEER_ROWS:
                break
    taken = seconds_of(lambda: LeadResource().import_data(data, raise_errors=True))
    return round(len(data) / taken)


def _measure(path: Path, rows: int) -> Report:
    report = Report("import", settings={"rows": rows, "megabytes": round(path.stat().st_size / 1e6, 1)})
    figures = report.figures
    figures["rows"] = rows
    say("raw COPY")
    figures["floor_copy_s"] = round(sorted(seconds_of(lambda: _copy(path)) for _ in range(3))[1], 3)
    memory = PeakMemory()
    say("import: clean, merge, tag, score")
    figures["import_s"] = round(seconds_of(lambda: _import(path, AT)), 3)
    say("the same file again")
    figures["reimport_s"] = round(seconds_of(lambda: _import(path, AT + dt.timedelta(days=1))), 3)
    figures["peak_mb"] = memory.end()  # before the peer, which holds its rows in memory
    figures["import_rows_per_s"] = round(rows / (figures["import_s"] or 1))
    figures["reimport_rows_per_s"] = round(rows / (figures["reimport_s"] or 1))
    say("peer")
    figures["peer_rows_per_s"] = _peer_rows_per_s(path)
    report.ratio("import_to_floor", "import_s", "floor_copy_s")
    report.ratio("speedup_over_peer", "import_rows_per_s", "peer_rows_per_s")
    report.bars = {"import_rows_per_s": ("least", 10_000), "peak_mb": ("most", 300)}
    return report
