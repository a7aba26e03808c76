"""The audit trail: every published change, and every tag that an import or the program made without one."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.db.models import BooleanField, F, Func, OuterRef, Q, QuerySet, Subquery, Value
from django.utils import timezone

from accounts.models import User
from tags.models import RuleChange, Tag, TagGroup
from tags.queries import FIELDS, Edit, Version, describe_changes, describe_rows, history_of

PAGE = 25
MAX_WORDS = 8
BATCH = 200
MADE = "made"
THE_PROGRAM = "program"
CSV_HEADER = (
    "version",
    "at_utc",
    "by",
    "reason",
    "kind",
    "id",
    "name",
    "field",
    "old",
    "new",
    "retroactive",
    "affected",
    "expired",
    "revived",
    "applied_at_utc",
)


def _field_choices() -> list[tuple[str, str]]:
    names = {**FIELDS[TagGroup], **FIELDS[Tag]}
    return [("", "Any field"), (MADE, "Made anew"), *names.items()]


class TrailForm(forms.Form):
    """What of the trail a person wants to see; every field may be blank."""

    q = forms.CharField(label="Reason", required=False, max_length=200)
    tag = forms.ModelChoiceField(Tag.objects.all(), label="Tag", required=False, empty_label="Any tag")
    group = forms.ModelChoiceField(TagGroup.objects.all(), label="Group", required=False, empty_label="Any group")
    field = forms.ChoiceField(label="What changed", required=False, choices=_field_choices)
    by = forms.ChoiceField(label="By", required=False)
    retroactive = forms.ChoiceField(
        label="Retroactive", required=False, choices=[("", "Either"), ("yes", "Yes"), ("no", "No")]
    )
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="Until", required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        people = User.objects.filter(
            Q(pk__in=RuleChange.objects.values("by"))
            | Q(pk__in=history_of(Tag).filter(rule_change=None).values("history_user"))
        )
        by: Any = self.fields["by"]
        names = [(str(user.pk), user.get_username()) for user in people.order_by("username")]
        by.choices = [("", "Anybody"), (THE_PROGRAM, "the program"), *names]
        for name in ("tag", "group"):
            self.fields[name].error_messages["invalid_choice"] = f"There is no {name} with this id."
        for name in ("since", "until"):
            self.fields[name].error_messages["invalid"] = "Write a day such as 2026-03-31."

    def clean_until(self) -> dt.date | None:
        until: dt.date | None = self.cleaned_data["until"]
        since = self.cleaned_data.get("since")
        if since and until and until < since:
            raise forms.ValidationError("This day comes before the first one.")
        return until

    @property
    def wanted(self) -> dict[str, Any]:
        """The filters that hold, by name; those that cannot be read are in `errors` and left out."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the trail: a change with all it did, or (`version` None) a rule made without one."""

    at: dt.datetime
    by: User | None
    reason: str
    version: Version | None = None
    edits: list[Edit] = field(default_factory=list)

    @property
    def change(self) -> RuleChange | None:
        return self.version.change if self.version else None


class _IsDistinct(Func):
    arg_joiner = " IS DISTINCT FROM "
    template = "(%(expressions)s)"
    output_field = BooleanField()


def _rows(model: type[Tag] | type[TagGroup], wanted: dict[str, Any]) -> Any:
    """Rows of history that the filters on rule and field let through."""
    rows = history_of(model).all()
    own, other = ("tag", "group") if model is Tag else ("group", "tag")
    if other in wanted and own not in wanted:
        return rows.none()
    if own in wanted:
        rows = rows.filter(id=wanted[own].pk)
    name = wanted.get("field")
    if not name:
        return rows
    before = history_of(model).filter(id=OuterRef("id"), history_id__lt=OuterRef("history_id")).order_by("-history_id")
    rows = rows.annotate(former=Subquery(before.values("history_id")[:1])).filter(former__isnull=name == MADE)
    if name == MADE:
        return rows
    if name not in FIELDS[model]:
        return rows.none()
    return rows.filter(_IsDistinct(F(name), Subquery(before.values(name)[:1])))


def _period(wanted: dict[str, Any], name: str) -> Q:
    """Days of the person's time zone, both included."""
    zone, found = timezone.get_current_timezone(), Q()
    if "since" in wanted:
        found &= Q(**{f"{name}__gte": dt.datetime.combine(wanted["since"], dt.time(), zone)})
    if "until" in wanted:
        after = wanted["until"] + dt.timedelta(days=1)
        found &= Q(**{f"{name}__lt": dt.datetime.combine(after, dt.time(), zone)})
    return found


def _narrow(wanted: dict[str, Any], *, at: str, by: str, reason: str) -> Q:
    found = _period(wanted, at)
    if "by" in wanted:
        found &= Q(**{f"{by}__isnull": True}) if wanted["by"] == THE_PROGRAM else Q(**{by: int(wanted["by"])})
    for word in wanted.get("q", "").split()[:MAX_WORDS]:
        found &= Q(**{f"{reason}__icontains": word})
    return found


def find_entries(wanted: dict[str, Any]) -> QuerySet[Any]:
    """The entries that match as rows of at, kind (change, tag or group) and key, newest first."""
    changes = RuleChange.objects.filter(_narrow(wanted, at="at", by="by", reason="reason"))
    rows = {model: _rows(model, wanted) for model in (Tag, TagGroup)}
    if wanted.keys() & {"tag", "group", "field"}:
        changes = changes.filter(
            Q(pk__in=rows[Tag].values("rule_change")) | Q(pk__in=rows[TagGroup].values("rule_change"))
        )
    if "retroactive" in wanted:
        is_empty = Q(retroactive_tag_ids__len=0)
        changes = changes.filter(~is_empty if wanted["retroactive"] == "yes" else is_empty)
    parts: list[Any] = [changes.order_by().values("at", kind=Value("change"), key=F("pk"))]
    if wanted.get("retroactive") != "yes":
        for model, kind in ((Tag, "tag"), (TagGroup, "group")):
            alone = rows[model].filter(rule_change=None)
            alone = alone.filter(_narrow(wanted, at="history_date", by="history_user", reason="history_change_reason"))
            parts.append(alone.order_by().values(at=F("history_date"), kind=Value(kind), key=F("history_id")))
    found: QuerySet[Any] = parts[0].union(*parts[1:], all=True).order_by("-at", "-key", "kind")
    return found


def describe_entries(found: Sequence[dict[str, Any]], *, rule: Tag | TagGroup | None = None) -> list[Entry]:
    """The entries with people and values, in the order given; with a rule, only what they did to that one."""
    keys: dict[str, list[int]] = {"change": [], "tag": [], "group": []}
    for row in found:
        keys[row["kind"]].append(row["key"])
    changes = RuleChange.objects.select_related("by").filter(pk__in=keys["change"])
    versions = {version.change.pk: version for version in describe_changes(changes, rule=rule)}
    alone: dict[tuple[str, int], tuple[Any, Edit]] = {}
    groups = dict(TagGroup.objects.values_list("pk", "name"))
    for model, kind in ((Tag, "tag"), (TagGroup, "group")):
        if keys[kind]:
            rows = history_of(model).select_related("history_user").filter(pk__in=keys[kind])
            alone |= {(kind, row.pk): (row, edit) for row, edit in describe_rows(model, rows, groups)}
    entries = []
    for item in found:
        if item["kind"] == "change":
            version = versions[item["key"]]
            change = version.change
            entries.append(
                Entry(at=change.at, by=change.by, reason=change.reason, version=version, edits=version.edits)
            )
        else:
            row, edit = alone[item["kind"], item["key"]]
            usual = {"+": "came with the program", "-": "taken back: nothing carried it"}.get(row.history_type, "")
            reason = row.history_change_reason if row.history_change_reason and row.history_type != "-" else usual
            entries.append(Entry(at=row.history_date, by=row.history_user, reason=reason, edits=[edit]))
    return entries


def _utc(at: dt.datetime | None) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="seconds") if at else ""


def _blank(value: object) -> object:
    return "" if value is None else value


def csv_rows(wanted: dict[str, Any], *, rule: Tag | TagGroup | None = None) -> Iterator[Sequence[object]]:
    """The matching trail as rows: the header, then one for each field that was changed; a few queries a slice."""
    yield CSV_HEADER
    found = list(find_entries(wanted))
    for start in range(0, len(found), BATCH):
        for entry in describe_entries(found[start : start + BATCH], rule=rule):
            yield from _csv_rows_of(entry)


def _csv_rows_of(entry: Entry) -> Iterator[Sequence[object]]:
    change = entry.change
    head = [change.pk if change else "", _utc(entry.at), entry.by.get_username() if entry.by else "", entry.reason]
    counts = [_blank(value) for value in (change.affected, change.expired, change.revived)] if change else [""] * 3
    tail = [*counts, _utc(change.applied_at if change else None)]
    retroactive = set(change.retroactive_tag_ids) if change else set()
    for edit in entry.edits:
        is_retroactive = "yes" if edit.kind == "tag" and edit.pk in retroactive else "no"
        for one in edit.differences:
            old = "" if edit.is_new else one.old
            yield [*head, edit.kind, edit.pk, edit.name, one.label, old, one.new, is_retroactive, *tail]
    if not any(edit.differences for edit in entry.edits):
        yield [*head, "", "", "", "", "", "", "yes" if retroactive else "no", *tail]
