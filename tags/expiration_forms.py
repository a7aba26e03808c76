"""What people choose and type about the days of many tags at once, as an address or a form carries it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.http import QueryDict

from tags.expirations import ExpirationChange
from tags.forms import ReasonForm, ThresholdForm
from tags.models import MAX_DAYS, Tag
from tags.queries import Edit, changed_since, url_of, versions_of

MOST = 100  # tags at once: an address carries them all; the API takes more


@dataclass(slots=True, kw_only=True)
class Row:
    """A tag with its boxes as typed. `seen` is the version the person saw, `version` that of today."""

    tag: Tag
    version: int
    seen: int
    days: str
    is_chosen: bool
    is_retroactive: bool
    problem: str = ""
    changed: Edit | None = None


class HeadForm(ThresholdForm, ReasonForm):
    """What holds for all tags of the page."""


@dataclass(slots=True)
class ExpirationsForm:
    """Rows for every tag that may be chosen; `problems` concern the page as a whole.

    An address names the chosen tags (`tag`), and for each its days (`days-ID`, blank: never; not given: those of
    today), whether all its assignments get them (`all-ID`), and the version that was seen (`seen-ID`).
    """

    data: QueryDict
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    head: HeadForm = field(init=False)

    def __post_init__(self) -> None:
        self.head = HeadForm(self.data) if self.data else HeadForm()
        chosen, odd = set(), []
        for text in self.data.getlist("tag"):
            if text.isascii() and text.isdigit() and len(text) < 18:
                chosen.add(int(text))
            else:
                odd.append(text[:20])
        tags = list((Tag.objects.active() | Tag.objects.filter(pk__in=chosen)).order_by("is_archived", "name"))
        versions = versions_of(tags)
        self.rows = [self._row(tag, versions.get(tag.pk, 0), is_chosen=tag.pk in chosen) for tag in tags]
        odd += [str(pk) for pk in sorted(chosen - {tag.pk for tag in tags})]
        if odd:
            self.problems.append(f"There is no tag {', '.join(odd[:10])}; it is left out below.")

    def _row(self, tag: Tag, version: int, *, is_chosen: bool) -> Row:
        today = "" if tag.expiration_days is None else str(tag.expiration_days)
        seen = self.data.get(f"seen-{tag.pk}", "")
        row = Row(
            tag=tag,
            version=version,
            seen=int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 18 else version,
            days=self.data.get(f"days-{tag.pk}", today).strip(),
            is_chosen=is_chosen,
            is_retroactive=f"all-{tag.pk}" in self.data,
        )
        row.problem = problem_of_days(row.days) if is_chosen else ""
        if is_chosen and row.seen != version:
            row.changed = Edit(
                kind="tag",
                name=tag.name,
                color=tag.color,
                url=url_of(tag),
                is_new=False,
                differences=changed_since(tag, row.seen),
            )
        return row

    @property
    def chosen(self) -> list[Row]:
        return [row for row in self.rows if row.is_chosen]

    @property
    def stale(self) -> list[Edit]:
        """What somebody published of the chosen tags since the person saw them."""
        return [row.changed for row in self.rows if row.changed is not None]

    def is_valid(self) -> bool:
        """True when all that is chosen can be taken; else rows and `problems` say what cannot."""
        if not self.chosen:
            self.problems.append("Tick at least one tag first.")
        elif len(self.chosen) > MOST:
            self.problems.append(
                f"{len(self.chosen)} tags are ticked; at most {MOST} change at once here. The API takes more."
            )
        return self.head.is_valid() and not self.problems and not any(row.problem for row in self.chosen)

    def changes(self) -> list[ExpirationChange]:
        """What was chosen; sound days only."""
        return [
            ExpirationChange(row.tag.pk, int(row.days) if row.days else None, row.is_retroactive)
            for row in self.chosen
            if not row.problem
        ]

    def fill(self) -> None:
        """Give every chosen row the days and the switch that were set for all of them."""
        days = self.data.get("all_days", "").strip()
        problem = problem_of_days(days)
        if problem:
            self.problems.append(f"For all ticked: {problem}")
        if not self.chosen:
            self.problems.append("Tick the tags that shall get these days first.")
        if self.problems:
            return
        for row in self.chosen:
            row.days, row.is_retroactive, row.problem = days, "all_retroactive" in self.data, ""

    def choose(self, which: str) -> None:
        """Tick all rows, or none."""
        for row in self.rows:
            row.is_chosen = which == "all" and not row.tag.is_archived

    def values(self, *, seen_now: bool = False) -> list[tuple[str, str]]:
        """What is chosen, as an address carries it; with `seen_now` as seen by somebody who looks at the page now."""
        values = []
        for row in self.chosen:
            values += [("tag", str(row.tag.pk)), (f"days-{row.tag.pk}", row.days)]
            values += [(f"all-{row.tag.pk}", "1")] if row.is_retroactive else []
            values += [(f"seen-{row.tag.pk}", str(row.version if seen_now else row.seen))]
        named = ("all_days", "all_retroactive", "threshold")
        return values + [(name, str(self.data[name])) for name in named if self.data.get(name)]


def problem_of_days(text: str) -> str:
    """What is wrong with typed days, in words; "" when nothing is. Blank is never."""
    if not text:
        return ""
    if not re.fullmatch(r"-?\d+", text, re.ASCII):
        return f"“{text[:20]}” is not a whole number of days."
    if len(text) > 9 or not 1 <= int(text) <= MAX_DAYS:
        return f"{text[:12]} days is outside 1 to {MAX_DAYS:,}."
    return ""


def sum_of_counts(effects: Iterable[object]) -> dict[str, int]:
    """Assignments, affected, expired and revived over all effects."""
    effects = list(effects)
    names = ("assignments", "affected", "expired", "revived")
    return {name: sum(getattr(effect, name) for effect in effects) for name in names}
