"""How a file is to be read (Layout), what comes out of it (RawRow), and the refusal (UnusableFile)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple, Self


class UnusableFile(Exception):
    """The file cannot serve as a lead list; `str()` says what is wrong, where, and how to mend it."""

    def __init__(self, message: str, *, columns: Sequence[str] = (), total: int = 0, remedy: str = "") -> None:
        super().__init__(message)
        self.columns: tuple[str, ...] = tuple(columns)
        """The columns that were found; empty where it did not come so far."""
        self.total = total or len(self.columns)
        """How many columns there were, where `columns` are only the first."""
        self._remedy = remedy

    def with_remedy(self, option: str) -> str:
        """The message, and how to name a column where that is done by an option, written `option` + FIELD=COLUMN."""
        return f"{self} {self._remedy.replace('MAP ', option)}" if self._remedy else str(self)


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything `read_rows` needs to read the file again exactly as it was inspected."""

    format: Literal["csv", "json"]
    encoding: str
    delimiter: str
    """Empty for JSON."""
    header_line: int
    """The physical line on which the header starts, counted from 1; 0 = no header row."""
    columns: tuple[str, ...]
    """Unique names: a repeated one gets " (2)", a blank one is "Column 5"."""
    notes: tuple[str, ...] = ()
    """What a person should know about the reading: lines skipped, the encoding chosen."""
    line_end: Literal["\n", "\r"] = "\n"
    keys: tuple[str, ...] = field(default=())
    """JSON only: the key behind each column."""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**values)


class RawRow(NamedTuple):
    """One row of the file, as text. A tuple, because a million of them are made."""

    line: int
    """The physical line on which the row starts; for JSON the number of the item, from 1."""
    cells: list[str]
    """One for each column. A rejected row may have more (ragged) or what could be read of it."""
    problem: str
    """Why the row must be rejected, in plain words; empty = fine."""
    is_blank: bool
