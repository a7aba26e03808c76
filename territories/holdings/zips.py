"""ZIPs as people type and upload them."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST = 20_000
MOST_BYTES = 2 * 1024 * 1024
SHOWN = 10
_HEADERS = {"zip", "zips", "zipcode", "zip5", "postalcode", "postcode", "territory"}


class ZipsRefused(Exception):
    """Some of this is no ZIP, or there is none, or too many."""


@dataclass(frozen=True, slots=True)
class ReadZips:
    """ZIPs in order, each once, and what could not be read as one: in quotes, of a file with its first line."""

    zips: list[str]
    odd: list[str]


def check_zips(zips: Iterable[str]) -> list[str]:
    """The ZIPs in order, each once. Raises ZipsRefused."""
    wanted = sorted(set(zips))
    if odd := [one for one in wanted if not re.fullmatch(r"[0-9]{5}", one, re.ASCII)]:
        raise ZipsRefused(f"{_listed(odd)} is no ZIP; write five digits.")
    if not wanted:
        raise ZipsRefused("Name at least one ZIP.")
    if len(wanted) > MOST:
        raise ZipsRefused(f"{len(wanted):,} ZIPs are too many at once; the most is {MOST:,}.")
    return wanted


def _listed(odd: Sequence[str]) -> str:
    shown = ", ".join(f"“{one[:20]}”" for one in odd[:SHOWN])
    return f"{shown} and {len(odd) - SHOWN:,} more" if len(odd) > SHOWN else shown


def read_zips(text: str) -> ReadZips:
    """ZIPs of a text, with anything but digits between them.

    ZIP+4 counts as its ZIP; three or four digits are one whose leading zeros a spreadsheet has dropped.
    """
    return _sort_out((part, "") for part in re.split(r"[\s,;|]+", text) if part)


def _sort_out(parts: Iterable[tuple[str, str]]) -> ReadZips:
    """Of texts, each with the words that say where it stands."""
    zips: set[str] = set()
    odd: dict[str, str] = {}
    for raw, where in parts:
        # As spreadsheets write it: ="07031" keeps the zero, and 07030.0 was taken for a number.
        part = re.sub(r"\A=\"(.*)\"\Z", r"\1", raw).strip()
        part = re.sub(r"\A([0-9]+)\.0+\Z", r"\1", part)
        found = re.fullmatch(r"([0-9]{3,5})(?:-?[0-9]{4})?" if "-" in part else r"([0-9]{3,5})", part, re.ASCII)
        nine = re.fullmatch(r"([0-9]{5})[0-9]{4}", part, re.ASCII)
        if found or nine:
            zips.add((found or nine)[1].zfill(5))  # type: ignore[index]
        else:
            odd.setdefault(raw[:40], where)
    return ReadZips(sorted(zips), [f"“{raw}”{where}" for raw, where in odd.items()])


def read_zip_file(data: bytes) -> ReadZips:
    """ZIPs of a CSV file: of the column called ZIP, or of its only column. Raises ZipsRefused.

    Cells are parted by what parts its first line: comma, semicolon or tab. UTF-8, or UTF-16 with its mark, else cp1252.
    """
    if len(data) > MOST_BYTES:
        raise ZipsRefused(f"The file is over {MOST_BYTES // 1024 // 1024} MB; a list of ZIPs is shorter.")
    text = _decode(data)
    if "\0" in text:
        raise ZipsRefused("This is no CSV file. Save the sheet as CSV and choose that.")
    first = text.lstrip("\r\n ").partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise ZipsRefused(f"The file cannot be read as CSV: {error}. Mend the line, or paste the ZIPs below.") from None
    if not rows:
        raise ZipsRefused("The file is empty.")
    head = [re.sub(r"[^a-z0-9]", "", cell.lower()) for cell in rows[0][1]]
    column = next((place for place, name in enumerate(head) if name in _HEADERS), None)
    if column is not None:
        rows = rows[1:]
    elif max(len(row) for _, row in rows) == 1:
        column = 0
    else:
        raise ZipsRefused(f"No column is called ZIP; the columns are {', '.join(rows[0][1])[:200]}.")
    cells = ((row[column].strip(), f" (line {line:,})") for line, row in rows if len(row) > column)
    return _sort_out((cell, where) for cell, where in cells if cell)


def _decode(data: bytes) -> str:
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
