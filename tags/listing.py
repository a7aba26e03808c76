"""The page of all tags: which rows, in which order, with what they say."""

from dataclasses import dataclass

from django.http import QueryDict

from tags.decay import Curve, draw_sparkline, in_words
from tags.models import Tag, TagGroup, fold_name
from tags.queries import Carried, count_by_tag

# What `sort=NAME` orders by, with what its column is called; numbers from the top first.
SORTS = {
    "name": "Tag",
    "points": "Points",
    "expires": "Expires after",
    "active": "Active",
    "expired": "Expired",
    "leads": "Leads",
}
NUMBERS = ("points", "expires", "active", "expired", "leads")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    tag: Tag
    carried: Carried
    decay: str
    spark: Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the address asks for; `sort` is blank for the usual order: tags to review first, then by name."""

    q: str
    group: str
    sort: str

    @property
    def is_narrowed(self) -> bool:
        return bool(self.q or self.group)


def read_wanted(query: QueryDict, groups: list[TagGroup]) -> Wanted:
    """What cannot be meant counts as not asked for."""
    sort, group = query.get("sort", ""), query.get("group", "")
    known = {"none", "review", *(str(one.pk) for one in groups)}
    return Wanted(
        q=query.get("q", "").strip()[:80],
        group=group if group in known else "",
        sort=sort if sort.removeprefix("-") in SORTS else "",
    )


def tag_rows(wanted: Wanted) -> list[Row]:
    """The tags that match, archived ones included; two queries."""
    carried = count_by_tag()
    rows = [
        Row(
            tag=tag,
            carried=carried.get(tag.pk, Carried()),
            decay=in_words(tag.decay_steps),
            spark=draw_sparkline(
                steps=tag.decay_steps, expiration_days=tag.expiration_days, expired_percent=tag.expired_percent
            ),
        )
        for tag in Tag.objects.select_related("group", "merged_into").order_by("name")
        if _matches(tag, wanted)
    ]
    name = wanted.sort.removeprefix("-")
    if not name:
        return sorted(rows, key=lambda row: not row.tag.needs_review)
    keys = {
        "name": lambda row: row.tag.name.casefold(),
        "points": lambda row: row.tag.base_score,
        "expires": lambda row: row.tag.expiration_days or float("inf"),
        "active": lambda row: row.carried.active,
        "expired": lambda row: row.carried.expired,
        "leads": lambda row: row.carried.leads,
    }
    return sorted(rows, key=keys[name], reverse=wanted.sort.startswith("-"))


def _matches(tag: Tag, wanted: Wanted) -> bool:
    if wanted.group == "none" and tag.group_id is not None:
        return False
    if wanted.group == "review" and not tag.needs_review:
        return False
    if wanted.group.isdigit() and str(tag.group_id) != wanted.group:
        return False
    text = wanted.q.casefold()
    folded = fold_name(text)
    return not text or (bool(folded) and folded in tag.name_key) or text in tag.description.casefold()
