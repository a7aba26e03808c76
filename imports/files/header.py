"""Find the delimiter and the header row, and refuse files whose columns cannot be trusted."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imports.files.layout import UnusableFile
from imports.files.limits import HEADER_ROWS, MAX_COLUMNS, MAX_NAME_CHARS
from imports.files.names import known_parts, meaning
from imports.files.records import Record

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}

_UNNAMED = re.compile(r"Unnamed: \d+(_level_\d+)?$")
_DATA = re.compile(
    r"""[\s$(+-]*[\d.,]+[\s%)]*$               # a number, an amount
    | \d{1,4}[-/.]\d{1,2}[-/.]\d{1,5}          # a date
    | (yes|no|true|false|y|n|null|none|n/a|na)$
    | \S+@\S+\.\w+$
    | https?://
    | \(?\d{3}\)?[ .-]?\d{3}[ .-]\d{4}$        # a phone number
    | [\w-]*\d[\w-]*(\s[\w-]*\d[\w-]*)+$       # "E21 19003 0183"
    | \d[\w/-]*\s.*\b(st|ave?|rd|dr|ln|ct|blvd|hwy|pl|ter|cir|way|pkwy|pike|trl)\b   # a street line
    | \d[\w/-]*\s.*\b(street|avenue|road|drive|lane|court|place|circle)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PAGE = re.compile(r"page\s+\d+(\s+of\s+\d+)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Header:
    """Where the header stands. `index` counts the sampled records; -1 = no header row."""

    index: int
    line: int
    cells: list[str]


def find_header(rows: Sequence[Record], *, sceptical: bool = False) -> Header | None:
    """The first row that names two known columns, else the first full-width row if it holds names, else None.

    `sceptical`: a row of unknown names counts only if it differs in kind from what stands below it.
    """
    head = [(i, line, cells) for i, (line, cells, problem) in enumerate(rows) if any(cells) and not problem]
    head = head[:HEADER_ROWS]
    if not head:
        return None
    known = [len(known_parts(cells[:MAX_COLUMNS])) for _, _, cells in head]
    for at, count in enumerate(known):
        if count >= 2:
            # A line of group titles ("Owner", "Property") can stand above the real header.
            best = max(range(at, min(at + 3, len(head))), key=lambda i: (known[i] >= 2 * count, known[i], -i))
            return Header(*head[best if known[best] >= 2 * count else at])
    filled = [sum(1 for cell in cells if _is_named(cell)) for _, _, cells in head]
    usual = Counter(filled[1:] or filled).most_common(1)[0][0]
    for (index, line, cells), count in zip(head, filled, strict=True):
        if count and count >= 0.6 * usual:  # the first full-width row is the header, or there is none
            if not _looks_like_names(cells) or (sceptical and not _contrasts(cells, rows[index + 1 :])):
                return None
            return Header(index, line, cells)
    return None


def _contrasts(names: Sequence[str], below: Sequence[Record]) -> bool:
    """Whether some column has a word on top and mostly numbers, dates or addresses below."""
    for at, name in enumerate(names):
        cells = [cells[at].strip() for _, cells, _ in below if at < len(cells) and cells[at].strip()]
        if not cells or not name.strip() or _DATA.match(name.strip()):
            continue
        if known_parts([name]) or 2 * sum(1 for cell in cells if _DATA.match(cell)) > len(cells):
            return True
    return False


def _is_named(cell: str) -> bool:
    return bool(cell.strip()) and not _UNNAMED.match(cell.strip())


def _looks_like_names(cells: Sequence[str]) -> bool:
    names = [cell.strip() for cell in cells if _is_named(cell)]
    if len(cells) == 1:  # the title and the rows of a one-column list look alike; only a known name is a header
        return bool(known_parts(names))
    data = sum(1 for name in names if _DATA.match(name) or not any(c.isalpha() for c in name))
    return bool(names) and data <= 0.2 * len(names) and len(set(names)) >= 0.8 * len(names)


def choose_delimiter(samples: Mapping[str, Sequence[Record]]) -> str:
    """The delimiter whose first rows agree best with each other and with known header names.

    `samples`: for each candidate the first records read with it.
    """
    scores: dict[str, float] = {}
    headers: dict[str, Header | None] = {}
    steady: set[str] = set()  # those that cut every row, title lines included, into the same three cells or more
    for delimiter, rows in samples.items():
        headers[delimiter] = header = find_header(rows)
        widths = [len(cells) for _, cells, _ in rows if any(cells)]
        if not widths:
            scores[delimiter] = 0
            continue
        width = len(header.cells) if header else Counter(widths).most_common(1)[0][0]
        agreeing = sum(1 for w in widths if w == width) / len(widths)
        known = len(known_parts(header.cells)) if header else 0
        fine = sum(1 for _, _, problem in rows if not problem) / len(rows)
        scores[delimiter] = 3 * min(known, 5) + (8 * agreeing * fine + min(width, 20) / 10 if width > 1 else 0)
        if width >= 3 and agreeing == fine == 1:
            steady.add(delimiter)
    for delimiter in scores.keys() - steady if steady else ():
        scores[delimiter] -= 20  # it cuts lists inside the cells
    first = next(iter(samples))
    if all(header is None or len(header.cells) == 1 for header in headers.values()):
        named = any(header is not None and known_parts(header.cells) for header in headers.values())
        if named:  # one column, perhaps with commas in it
            whole = [d for d, rows in samples.items() if all(len(cells) <= 1 for _, cells, _ in rows)]
            return whole[0] if whole else first
    return max(samples, key=lambda d: scores[d])


def refuse_page_layout(rows: Sequence[Record], header: Header | None) -> None:
    """Raise UnusableFile for a table copied out of a PDF page by page: its columns move from page to page."""
    fused = shifted = pages = 0
    named: dict[tuple[str, str], int] | None = _positions(header.cells) if header else None
    for index, (line, cells, _) in enumerate(rows):
        for cell in cells:
            if _PAGE.match(cell.strip()):
                pages += 1
            elif not fused and index < HEADER_ROWS and "  " in cell:
                fused = line if len(known_parts(re.split(r"\s{2,}", cell.strip()))) >= 2 else 0
        positions = _positions(cells)
        # Data can hold such words too ("Owner", "City"): a header row is full of them.
        if len(positions) >= max(2, sum(map(bool, cells)) / 2) and (header is None or line >= header.line):
            if named is None:
                named = positions
            moved = [part for part, at in positions.items() if part in named and named[part] != at]
            if len(moved) >= 2 and not shifted:
                shifted = line
    if fused and named and len(named) >= 2 and header and fused < header.line:
        fused = 0  # only a title above a good header
    if not (fused or shifted or (pages >= 2 and (header is None or not named))):
        return
    signs = []
    if fused:
        signs.append(f"on line {fused} several column names share one cell")
    if shifted:
        signs.append(f"on line {shifted} the columns stand in other places")
    if pages:
        signs.append("page heads stand between the rows")
    columns = [cell.strip() for cell in header.cells if cell.strip()] if header else []
    raise UnusableFile(
        f"This looks like a table copied out of a PDF page by page: {', '.join(signs)}. "
        "Its rows cannot be told apart safely. Ask for the list as a spreadsheet or CSV, or tidy it "
        "until one header row stands above one row per property.",
        columns=columns,
    )


def _positions(cells: Sequence[str]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for at, cell in enumerate(cells[:MAX_COLUMNS]):
        if cell and (known := meaning(cell.strip())) is not None and known.level < 5:
            found.setdefault((known.part, known.side), at)
    return found


def column_names(cells: Sequence[str]) -> tuple[str, ...]:
    """Unique, readable names: "Address", "Address (2)", "Column 7"; UnusableFile beyond 2,000 columns."""
    if len(cells) > MAX_COLUMNS:
        raise UnusableFile(
            f"The file has {len(cells):,} columns; at most {MAX_COLUMNS:,} can be read. "
            "Keep the columns you need and import again.",
            columns=[clean_name(cell) for cell in cells[:20]],
            total=len(cells),
        )
    names: list[str] = []
    taken: set[str] = set()
    for number, cell in enumerate(cells, 1):
        base = clean_name(cell) or f"Column {number}"
        name, copy = base, 1
        while name in taken:
            copy += 1
            name = f"{base} ({copy})"
        taken.add(name)
        names.append(name)
    return tuple(names)


def clean_name(cell: str) -> str:
    """One header cell on one line, without control characters, at most 200 characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in cell).split())[:MAX_NAME_CHARS]


def no_header(rows: Sequence[Record]) -> UnusableFile:
    """The refusal that shows the first row and how to give columns by number."""
    line, cells, _ = next(((r) for r in rows if any(r[1])), (1, [], ""))
    shown = ", ".join(f"{i} = {clean_name(cell)[:40]!r}" for i, cell in enumerate(cells[:20], 1))
    more = f" and {len(cells) - 20:,} more" if len(cells) > 20 else ""
    return UnusableFile(
        f"No row with column names was found. Line {line} holds: {shown}{more}. Add a header row to the list.",
        remedy="Or give the columns by number, such as MAP address=2.",
    )
