"""Rows of a file as lines for COPY, cleaned in this process or in several side by side.

A cleaning process (`python -m imports.cleaning FD`) knows no Django and no database. Each reads the whole file, which
costs a twentieth of cleaning it, and cleans one block in so many; it asks back over a socket for each tag name that it
meets for the first time, and ends when its parent does.
"""

import contextlib
import itertools
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from operator import attrgetter
from pathlib import Path
from typing import Any

from imports.files import Layout, read_rows
from imports.rows import COLUMNS, CleanRow, Defaults, RowCleaner

BLOCK_ROWS = 4_000
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_FLAGS = ("f", "t")
_TYPED = ("line", "has_house_number", "is_address_parsed", "is_place_unknown", "tag_ids", "asserted_at", "extra")
TEXTS = tuple(name for name in COLUMNS if name not in _TYPED)
COPIED = (*_TYPED, *TEXTS)
_texts_of = attrgetter(*TEXTS)

FindTag = Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows in file order: `text` for COPY, how many they are, and how many blank ones were among them.

    `spoiled` of them had a parcel number that a spreadsheet had destroyed.
    """

    text: bytes
    rows: int
    blank: int
    spoiled: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A file and how its rows are to be read: which column feeds which field, and what holds for all rows."""

    path: Path
    layout: Layout
    fields: Mapping[str, int]
    defaults: Defaults

    def cleaner(self, find_tag: FindTag) -> RowCleaner:
        return RowCleaner(columns=self.layout.columns, fields=self.fields, defaults=self.defaults, find_tag=find_tag)

    def blocks(self, cleaner: RowCleaner, turn: int = 0, turns: int = 1) -> Iterator[Block]:
        """Every `turns`-th block of the file, beginning with number `turn`."""
        rows = read_rows(self.path, self.layout)
        frames = iter(lambda: list(itertools.islice(rows, BLOCK_ROWS)), [])
        for frame in itertools.islice(frames, turn, None, turns):
            before = cleaner.spoiled
            filled = [row for row in frame if not row.is_blank]
            text = "".join([copy_line(cleaner.clean(row)) for row in filled]).encode("utf-8", "replace")
            yield Block(text, len(filled), len(frame) - len(filled), cleaner.spoiled - before)


class CleaningFailed(Exception):
    """A cleaning process met something it did not expect; the text is its traceback."""


def copy_line(row: CleanRow) -> str:
    """The row as one line of COPY's text format, its columns as in COPIED."""
    texts = "\0".join(_texts_of(row))  # no text holds a NUL
    if "\\" in texts or "\n" in texts or "\t" in texts or "\r" in texts:
        texts = texts.translate(_ESCAPES)
    return "\t".join(
        (
            str(row.line),
            _FLAGS[row.has_house_number],
            _FLAGS[row.is_address_parsed],
            _FLAGS[row.is_place_unknown],
            f"{{{','.join(map(str, row.tag_ids))}}}",
            row.asserted_at.isoformat() if row.asserted_at else r"\N",
            row.extra.translate(_ESCAPES) if row.extra else r"\N",
            texts.replace("\0", "\t") + "\n",
        )
    )


def clean_file(plan: Plan, find_tag: FindTag, *, processes: int = 0) -> Iterator[Block]:
    """All rows of the file as blocks, in order; with `processes`, that many others clean them side by side.

    `find_tag` is called in this process, between two blocks.
    """
    if not processes:
        yield from plan.blocks(plan.cleaner(find_tag))
        return
    with contextlib.ExitStack() as stack:
        helpers = [stack.enter_context(_helper(plan, turn, processes)) for turn in range(processes)]
        for helper in itertools.cycle(helpers):
            block = _take(helper, find_tag)
            if block is None:  # the others would have had the next ones
                return
            yield block


def _take(helper: Connection, find_tag: FindTag) -> Block | None:
    """The helper's next block; None when the file is at its end."""
    try:
        while isinstance(message := helper.recv(), str):
            helper.send(find_tag(message))
    except (EOFError, ConnectionError) as error:
        raise ChildProcessError("a process that cleaned rows was ended from outside") from error
    if isinstance(message, Exception):
        raise message
    return message  # type: ignore[no-any-return]


@contextlib.contextmanager
def _helper(plan: Plan, turn: int, turns: int) -> Iterator[Connection]:
    ours, theirs = Pipe()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "imports.cleaning", str(theirs.fileno())],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        try:
            ours.send((plan, turn, turns))
            yield ours
        finally:
            ours.close()  # it finds nobody to talk to, and leaves
            process.terminate()
            process.wait()


def _serve(parent: Connection) -> None:
    """Send one block in `turns`, until the file ends or the parent hangs up."""

    @cache
    def find_tag(name: str) -> Any:
        parent.send(name)
        return parent.recv()

    with contextlib.suppress(EOFError, ConnectionError):
        plan, turn, turns = parent.recv()
        try:
            for block in plan.blocks(plan.cleaner(find_tag), turn, turns):
                parent.send(block)
            parent.send(None)
        except (EOFError, ConnectionError):
            raise
        except Exception:
            parent.send(CleaningFailed(traceback.format_exc()))


if __name__ == "__main__":
    from imports.cleaning import _serve as serve  # what it sends must be of the module that the parent knows

    with Connection(int(sys.argv[1])) as connection:
        serve(connection)
