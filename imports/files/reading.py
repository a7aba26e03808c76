"""Inspect a file once, then read its rows as often as wanted."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imports.files.header import (
    DELIMITERS,
    Header,
    choose_delimiter,
    clean_name,
    column_names,
    find_header,
    no_header,
    refuse_page_layout,
)
from imports.files.json_items import cell_text, read_items
from imports.files.kinds import refuse_other_kinds
from imports.files.layout import Layout, RawRow, UnusableFile
from imports.files.limits import MAX_CELL_CHARS, MAX_COLUMNS, SAMPLE_ROWS
from imports.files.records import Record, read_records
from imports.files.text import TextForm, open_text, survey_text

_SAMPLE_CHARS = 4_000_000
_SAMPLE_LINES = 20_000
_BLANK_LINES = 200_000
_SEP_LINE = re.compile(r"\ufeff?sep=(.)\r?\n?$")
_GUARD = re.compile(r"'[=+\-@\t\r\n]")
_GUARDED = ("'=", "'+", "'-", "'@", "'\t", "'\r", "'\n")


def inspect_file(
    path: Path,
    *,
    max_bytes: int,
    encoding: str | None = None,
    delimiter: str | None = None,
    mapped_by_number: bool = False,
) -> Layout:
    """Find out how to read a CSV or JSON file; raises UnusableFile where it cannot serve as a list.

    Reads the whole file once (encoding, JSON keys), in blocks. `encoding` and `delimiter` override what would
    be found. With `mapped_by_number` a file without a header row is accepted: its columns are "Column 1"...
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as raw:
            head = raw.read(65_536)
    except OSError as error:
        raise UnusableFile(f"The file {path.name} cannot be opened: {error.strerror or error}.") from error
    if size > max_bytes:
        raise UnusableFile(
            f"The file has {_megabytes(size)} MB; at most {_megabytes(max_bytes)} MB can be imported at "
            "once. Split it and import the parts one after the other."
        )
    if not head.strip(b"\xef\xbb\xbf\xff\xfe\r\n\t \x00\x1a") and size <= len(head):
        raise UnusableFile("The file is empty. Export the list again and check that it has rows.")
    suffix = path.suffix.lower()
    refuse_other_kinds(head, suffix=suffix)
    form = survey_text(path, head, encoding=encoding)
    with open_text(path, form.encoding) as handle:
        start = handle.read(4096).lstrip("\ufeff\0 \t\r\n")
    if _is_json(start, suffix):
        return _inspect_json(path, form)
    return _inspect_csv(path, form, _delimiter(delimiter), mapped_by_number=mapped_by_number)


def read_rows(path: Path, layout: Layout) -> Iterator[RawRow]:
    """Every row below the header exactly once, in order, streaming; never raises for content.

    Memory: one block of text and one record, whatever the size of the file.
    """
    return _read_json(path, layout) if layout.format == "json" else _read_csv(path, layout)


def sample_rows(path: Path, layout: Layout, *, limit: int = 200) -> list[list[str]]:
    """The cells of the first `limit` rows that are neither blank nor broken, for choosing the mapping."""
    fine = (row.cells for row in read_rows(path, layout) if not row.problem and not row.is_blank)
    return list(itertools.islice(fine, limit))


# -- CSV


def _inspect_csv(path: Path, form: TextForm, delimiter: str, *, mapped_by_number: bool) -> Layout:
    notes = list(form.notes)
    if not delimiter:
        delimiter = _sep_hint(path, form)
    candidates = [delimiter] if delimiter else list(DELIMITERS)
    samples = {d: _first_records(path, form, d, 60) for d in candidates}
    delimiter = choose_delimiter(samples)
    rows = _first_records(path, form, delimiter, SAMPLE_ROWS)
    if not any(any(cells) for _, cells, _ in rows):
        trouble = next((f": {problem}" for _, _, problem in rows if problem), "")
        raise UnusableFile(
            f"The file begins with nothing but blank lines{trouble}. Export the list again and check that it has rows."
        )
    header = find_header(rows, sceptical=mapped_by_number)
    refuse_page_layout(rows, header)
    if delimiter != ",":
        notes.append(f"separated by {DELIMITERS.get(delimiter, repr(delimiter))}")
    if header is None:
        _refuse_wide(rows)
        if not mapped_by_number:
            raise no_header(rows)
        width = Counter(len(cells) for _, cells, _ in rows if any(cells)).most_common(1)[0][0]
        notes.append("there is no header row; columns go by number")
        return Layout("csv", form.encoding, delimiter, 0, column_names([""] * width), tuple(notes), form.line_end)
    columns = column_names(_without_empty_tail(header, rows))
    if header.line > 1:
        above = header.line - 1
        skipped = f"{above} lines above the header were" if above > 1 else "1 line above the header was"
        notes.append(f"{skipped} skipped; the header is on line {header.line}")
    below = [cells for _, cells, problem in rows[header.index + 1 :] if any(cells) and not problem]
    if any(len(cells) < len(columns) for cells in below):
        notes.append("some rows have fewer cells than the header; what is missing counts as blank")
    layout = Layout("csv", form.encoding, delimiter, header.line, columns, tuple(notes), form.line_end)
    if all(row.is_blank for row in read_rows(path, layout)):
        raise UnusableFile(
            f"The file has a header (line {header.line}) but no rows. Check the filter of the export.",
            columns=columns,
        )
    return layout


def _read_csv(path: Path, layout: Layout) -> Iterator[RawRow]:
    width = len(layout.columns)
    padding = [""] * width
    header: list[str] = []
    probe, probe_texts = 0, set[str]()  # a cheap first look whether a row repeats the header
    new = tuple.__new__
    broken = 0  # the line above, if its quotes were broken
    usual = width  # cells in the last good row
    with open_text(path, layout.encoding) as handle:
        records = read_records(
            handle,
            delimiter=layout.delimiter,
            line_end=layout.line_end,
            first_line=layout.header_line or 1,
            width=width,
        )
        if layout.header_line:
            header = next(records, (0, [], ""))[1][:width]
            if header:
                probe = max(range(len(header)), key=lambda i: len(header[i]))
                name = header[probe]
                probe_texts = {name, name.strip(), name.strip().lower(), name.strip().upper(), name.strip().title()}
        for line, cells, problem in records:
            if problem:
                cells = [cell[:MAX_CELL_CHARS] for cell in cells]
                yield RawRow(line, cells + padding[len(cells) :], problem, False)
                broken = line
                continue
            joined = "".join(cells)
            if not joined or joined.isspace():
                yield RawRow(line, padding.copy(), "", True)
                continue
            count = len(cells)
            if broken:
                if count < usual:
                    # The rest of a cell with line breaks, torn off: never a row of its own.
                    problem = f"seems to be the rest of the row on line {broken}, whose quotes are broken"
                    yield RawRow(line, cells + padding[count:], problem, False)
                    broken = 0 if '"' in joined else broken
                    continue
                broken = 0
            usual = count
            if count != width:
                if count > width and any(map(str.strip, cells[width:])):
                    problem = f"has {count} cells where the {_reference(layout)} {width}"
                    if len(joined) > MAX_CELL_CHARS:
                        cells = [cell[:MAX_CELL_CHARS] for cell in cells]
                    yield RawRow(line, cells, problem, False)
                    continue
                cells = cells[:width] + padding[count:]
            if cells[probe] in probe_texts and _repeats(cells, header):
                yield RawRow(line, cells, "repeats the header", False)
                continue
            if "'" in joined and _GUARD.search(joined):
                cells = [cell[1:] if cell.startswith(_GUARDED) else cell for cell in cells]
            if len(joined) > MAX_CELL_CHARS and (problem := _cell_too_long(cells, layout)):
                yield RawRow(line, [cell[:MAX_CELL_CHARS] for cell in cells], problem, False)
                continue
            yield new(RawRow, (line, cells, "", False))


def _reference(layout: Layout) -> str:
    return "header has" if layout.header_line else "first rows have"


def _repeats(cells: list[str], header: list[str]) -> bool:
    return [cell.strip().lower() for cell in cells[: len(header)]] == [cell.strip().lower() for cell in header]


def _cell_too_long(cells: list[str], layout: Layout) -> str:
    for name, cell in zip(layout.columns, cells, strict=False):
        if len(cell) > MAX_CELL_CHARS:
            return _too_long(name, cell)
    return ""


def _too_long(column: str, cell: str) -> str:
    return f'column "{column}" has {len(cell):,} characters; a cell may have at most {MAX_CELL_CHARS:,}'


def _first_records(path: Path, form: TextForm, delimiter: str, limit: int) -> list[Record]:
    """The first records that hold something, a bounded number of lines."""
    found: list[Record] = []
    size = 0
    with open_text(path, form.encoding) as handle:
        for record in read_records(handle, delimiter=delimiter, line_end=form.line_end):
            if any(map(str.strip, record[1])) or record[2]:
                found.append(record)
                size += sum(map(len, record[1]))
                if len(found) >= limit or size > _SAMPLE_CHARS:
                    break
            elif record[0] > (_SAMPLE_LINES if found else _BLANK_LINES):
                break
    if found and _SEP_LINE.match(delimiter.join(found[0][1])):
        del found[0]
    return found


def _sep_hint(path: Path, form: TextForm) -> str:
    """Excel's own first line `sep=;`."""
    with open_text(path, form.encoding) as handle:
        match = _SEP_LINE.match(handle.readline(16))
    return match[1] if match and match[1] in DELIMITERS else ""


def _delimiter(given: str | None) -> str:
    if not given:
        return ""
    names = {**{name: mark for mark, name in DELIMITERS.items()}, "\\t": "\t"}
    mark = names.get(given.strip().lower(), given)
    if len(mark) != 1 or mark.isalnum() or mark in "\"'\r\n\0 ":
        raise UnusableFile(f"{given!r:.20} cannot separate columns. Choose comma, semicolon, tab or pipe.")
    return mark


def _refuse_wide(rows: list[Record]) -> None:
    column_names(max((cells for _, cells, _ in rows), key=len, default=[]))


def _without_empty_tail(header: Header, rows: list[Record]) -> list[str]:
    """Spreadsheets export up to 16,384 empty columns to the right; they do not count against the limit."""
    cells = header.cells
    if len(cells) <= MAX_COLUMNS:
        return cells
    used = max((max((i for i, c in enumerate(r[1], 1) if c.strip()), default=0) for r in rows), default=0)
    return cells[: max(used, 1)]


# -- JSON


def _is_json(start: str, suffix: str) -> bool:
    if suffix in {".json", ".jsonl", ".ndjson", ".geojson"}:
        return True
    return bool(re.match(r'\{\s*("|\}|$)|\[\s*([{\["\]]|$|-?\d|null\b|true\b|false\b)', start))


def _inspect_json(path: Path, form: TextForm) -> Layout:
    keys: dict[str, None] = {}
    items = objects = 0
    first_other = ""
    only: Any = None
    with open_text(path, form.encoding) as handle:
        is_list = handle.read(4096).lstrip("\ufeff\0 \t\r\n").startswith("[")
    with open_text(path, form.encoding) as handle:
        for item in read_items(handle):
            items += 1
            only = item
            if isinstance(item, dict):
                objects += 1
                if item.keys() - keys.keys():
                    keys.update(dict.fromkeys(item))
                    if len(keys) > MAX_COLUMNS:
                        raise UnusableFile(
                            f"The items of the JSON file have more than {MAX_COLUMNS:,} different keys. "
                            "Each item should be one property with the same few keys.",
                            columns=[clean_name(key) for key in itertools.islice(keys, 20)],
                            total=len(keys),
                        )
            elif not first_other:
                first_other = f"item {items:,} is {_kind(item)}"
    wanted = 'It must be a list of objects, one for each property: [{"address": "...", "city": "..."}, ...].'
    if not is_list and items == 1:
        found = f" with the keys {', '.join(map(clean_name, list(only)[:10]))}" if isinstance(only, dict) else ""
        raise UnusableFile(f"The JSON file holds {_kind(only)}{found}, not a list. {wanted}",
                           columns=[clean_name(key) for key in keys])  # fmt: skip
    if not items:
        raise UnusableFile(f"The JSON file holds an empty list: there are no rows. {wanted}")
    if not objects:
        raise UnusableFile(f"The JSON file is not a list of objects: {first_other}. {wanted}")
    names = column_names(list(keys))
    if not any(not row.is_blank for row in _rows_of(path, form.encoding, tuple(keys), names)):
        raise UnusableFile("All items of the JSON file are blank.", columns=names)
    return Layout("json", form.encoding, "", 0, names, form.notes, form.line_end, tuple(keys))


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "a single object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return "a number" if type(value) is not str else "a text"


def _read_json(path: Path, layout: Layout) -> Iterator[RawRow]:
    return _rows_of(path, layout.encoding, layout.keys, layout.columns)


def _rows_of(path: Path, encoding: str, keys: tuple[str, ...], columns: tuple[str, ...]) -> Iterator[RawRow]:
    number = 0
    with open_text(path, encoding) as handle:
        items = read_items(handle)
        while True:
            number += 1
            try:
                item = next(items)
            except StopIteration:
                return
            except UnusableFile as error:  # only if the file changed after it was inspected
                yield RawRow(number, [""] * len(keys), str(error), False)
                return
            if not isinstance(item, dict):
                content = [_printable(cell_text(item))[:MAX_CELL_CHARS]]
                yield RawRow(number, content + [""] * (len(keys) - 1), f"is {_kind(item)}, not an object", False)
                continue
            get = item.get
            try:
                cells = [_printable(cell_text(get(key))) for key in keys]
            except RecursionError:
                yield RawRow(number, [""] * len(keys), "is nested too deeply to read", False)
                continue
            joined = "".join(cells)
            problem = ""
            if len(joined) > MAX_CELL_CHARS:
                for name, cell in zip(columns, cells, strict=True):
                    if len(cell) > MAX_CELL_CHARS:
                        problem = _too_long(name, cell)
                        break
                cells = [cell[:MAX_CELL_CHARS] for cell in cells]
            yield RawRow(number, cells, problem, not joined or joined.isspace())


def _printable(text: str) -> str:
    r"""Without NULs (\u0000) and lone halves of surrogate pairs (\ud800), which no database takes."""
    if text.isascii() or text.isprintable():
        return text.replace("\0", "") if "\0" in text else text
    return text.replace("\0", "").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}".removesuffix(".0")
