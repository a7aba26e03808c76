"""Split text into CSV records; a broken quote costs its own line and never the rest of the file."""

import csv
from collections.abc import Iterator
from typing import NamedTuple, TextIO

from imports.files.limits import MAX_RECORD_CHARS, MAX_RECORD_LINES
from imports.files.text import read_blocks

Record = tuple[int, list[str], str]
"""First physical line, cells, and what is wrong with it (empty = nothing)."""

_BLOCK = 1 << 17
# A file with this many broken records gets short attempts only: otherwise a hostile file, on each of whose
# lines a quote opens, would cost a thousand lines of parsing per line.
_PATIENCE = 2_000
_SHORT = 20


class _Batch(NamedTuple):
    lines: list[str]
    is_overlong: bool
    """The one line in it is longer than a record may be; only its beginning is here."""


def read_records(
    handle: TextIO, *, delimiter: str, line_end: str, first_line: int = 1, width: int = 0
) -> Iterator[Record]:
    """Every record from physical line `first_line` on, in order; an empty line is a record without cells.

    `width` is the usual number of cells, if known: it betrays rows that an open quote swallowed. Quotes are
    read strictly. Where they do not match, the first physical line of the record comes out with a problem,
    and reading goes on with the next physical line. Memory: a block and the longest record.
    """
    line = 1  # the physical line of lines[0]
    skip = first_line - 1
    pending: list[str] = []
    patience = _PATIENCE
    for batch, is_last in _with_last(_batches(handle, line_end)):
        if skip:
            skipped = min(skip, len(batch.lines))
            skip -= skipped
            line += skipped
            batch = _Batch(batch.lines[skipped:], batch.is_overlong)
            if not batch.lines:
                continue
        lines = pending if batch.is_overlong else pending + batch.lines if pending else batch.lines
        must_end = is_last or batch.is_overlong
        pending = []
        start = 0
        while start < len(lines):
            base = start
            window = lines[base:] if patience > 0 else lines[base : base + _SHORT]
            reader = csv.reader(window, delimiter=delimiter, strict=True)
            trouble = ""
            end = base
            try:
                for row in reader:
                    end = base + reader.line_num
                    if end - start > 1:
                        trouble = _suspicion(lines[start:end], width or len(row), delimiter, line + start)
                        if trouble:
                            break
                    yield line + start, row, ""
                    start = end
                if not trouble:
                    continue
            except csv.Error as error:
                end = base + reader.line_num
                if _is_unfinished(error):
                    if start > base and base + len(window) < len(lines):
                        continue  # it only ran out of the window: try it again from its own first line
                    if base + len(window) == len(lines) and not must_end and not _too_long(lines[start:]):
                        pending = lines[start:]
                        break
                trouble = _plain(error, line + start, line + end - 1)
            patience -= 1
            yield line + start, loose_cells(lines[start], delimiter), trouble
            start += 1
        line += len(lines) - len(pending)
        if batch.is_overlong:
            yield line, [batch.lines[0][:1000]], f"line {line} is longer than {MAX_RECORD_CHARS:,} characters"
            line += 1


def loose_cells(text: str, delimiter: str) -> list[str]:
    """What can be read of one broken line, so that the rejected row still shows its content."""
    try:
        return next(csv.reader([text.rstrip("\r\n")], delimiter=delimiter), [])
    except csv.Error:
        return [text.rstrip("\r\n")]


def _is_unfinished(error: csv.Error) -> bool:
    return str(error).startswith("unexpected end")


def _too_long(lines: list[str]) -> bool:
    return len(lines) > MAX_RECORD_LINES or sum(map(len, lines)) > MAX_RECORD_CHARS


def _suspicion(lines: list[str], width: int, delimiter: str, line: int) -> str:
    """Why a record of several lines is not believed; empty = it is.

    A quote that is never closed runs on to the next quote of the file and takes whole rows with it. Lines
    inside a genuine cell with line breaks do not themselves look like complete rows.
    """
    if _too_long(lines):
        return f'the quote (") opened on line {line} is not closed within {MAX_RECORD_LINES:,} lines'
    if width < 4:  # too few to tell a row from a line of prose
        return ""
    inner = [loose_cells(text, delimiter) for text in lines[1:] if text.count('"') % 2 == 0]
    rows = sum(1 for row in inner if len(row) == width and 2 * sum(map(bool, row)) > width)
    if 2 * rows > len(inner):
        return f'the quote (") opened on line {line} is not closed there, and whole rows follow'
    return ""


def _plain(error: csv.Error, first: int, last: int) -> str:
    text = str(error)
    if text.startswith("unexpected end"):
        return f'the quote (") opened on line {first} is never closed'
    if "expected after" in text:
        where = f"on line {first}" if last == first else f"opened on line {first}, closed on line {last},"
        return f'a quote (") {where} stands in the wrong place; within quotes, a quote must be doubled ("")'
    if text.startswith("new-line character"):
        return f"line {first} has a stray carriage return outside quotes"
    return f"line {first} cannot be read: {text}"


def _batches(handle: TextIO, line_end: str) -> Iterator[_Batch]:
    """Physical lines with their line ends, a block at a time; a line that is too long comes alone and cut."""
    tail = ""
    too_long = ""  # the beginning of the overlong line being skipped
    for block in read_blocks(handle, _BLOCK):
        cut = block.rfind(line_end) + 1
        if not cut:
            if too_long:
                continue
            tail += block
            if len(tail) > MAX_RECORD_CHARS:
                too_long, tail = tail[: MAX_RECORD_CHARS + 1], ""
            continue
        text = tail + block[:cut]
        tail = block[cut:]
        if too_long:
            yield _Batch([too_long], True)
            text = text[text.index(line_end) + 1 :]
            too_long = ""
        lines = [part + line_end for part in text.split(line_end)]
        lines.pop()  # what follows the last line end: nothing
        if lines and len(lines[0]) > MAX_RECORD_CHARS:  # only the first can: the others lie within one block
            yield _Batch(lines[:1], True)
            del lines[0]
        if lines:
            yield _Batch(lines, False)
    if too_long:
        yield _Batch([too_long], True)
    elif tail:
        yield _Batch([tail], len(tail) > MAX_RECORD_CHARS)


def _with_last(batches: Iterator[_Batch]) -> Iterator[tuple[_Batch, bool]]:
    """Each batch, and whether it is the last."""
    previous = next(batches, None)
    if previous is None:
        return
    for batch in batches:
        yield previous, False
        previous = batch
    yield previous, True
