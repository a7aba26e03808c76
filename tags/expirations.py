"""Other expiration days for one tag or many, with or without effect on the assignments that are there already."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.db import transaction

from accounts.models import User
from tags.models import MAX_DAYS, RuleChange, Tag
from tags.operations import NothingToPublish, RuleStale, publish_rule_change
from tags.queries import changed_since, version_of
from tags.sql.expirations import count_effects, with_other_clocks


@dataclass(frozen=True, slots=True)
class ExpirationChange:
    """The days a tag shall have (None: never): for every assignment with retroactive effect, else for later ones."""

    tag_id: int
    days: int | None
    is_retroactive: bool


@dataclass(frozen=True, slots=True)
class ExpirationEffect:
    """What a change would do to the assignments of a tag that were not removed; without retroactive effect, nothing.

    `affected`: those whose end moves; `expired`, `revived`: of these, those that end by it and that live again.
    """

    tag_id: int
    assignments: int
    affected: int
    expired: int
    revived: int


class UnknownTags(Exception):
    """There are no tags with these ids."""

    def __init__(self, ids: list[int]) -> None:
        super().__init__(f"No tag has the id {_listed(ids)}.")
        self.ids = ids


class RepeatedTags(Exception):
    """These ids are named more than once."""

    def __init__(self, ids: list[int]) -> None:
        super().__init__(f"Named more than once: {_listed(ids)}. Name each tag once.")
        self.ids = ids


class InvalidDays(Exception):
    """Days that no tag can have; `errors` says by tag id why."""

    def __init__(self, errors: dict[int, str]) -> None:
        super().__init__(" ".join(f"Tag {tag_id}: {text}" for tag_id, text in errors.items()))
        self.errors = errors


def _listed(ids: Iterable[int]) -> str:
    return ", ".join(map(str, ids))


def check_changes(changes: Sequence[ExpirationChange]) -> None:
    """Raise RepeatedTags or InvalidDays where changes cannot be meant."""
    ids = [change.tag_id for change in changes]
    if repeated := sorted({tag_id for tag_id in ids if ids.count(tag_id) > 1}):
        raise RepeatedTags(repeated)
    errors = {change.tag_id: text for change in changes if (text := _problem_of_days(change.days))}
    if errors:
        raise InvalidDays(errors)


def _problem_of_days(days: object) -> str:
    if days is None:
        return ""
    if type(days) is not int:
        return f"{days!r} is not a whole number of days."
    return "" if 1 <= days <= MAX_DAYS else f"{days} days is outside 1 to {MAX_DAYS:,}."


def tags_of(changes: Sequence[ExpirationChange], *, is_locked: bool = False) -> dict[int, Tag]:
    """Today's tags by id, in the order of their ids; raises UnknownTags with every id that there is not."""
    tags = Tag.objects.order_by("pk")
    if is_locked:
        tags = tags.select_for_update(no_key=True, of=("self",))
    ids = [change.tag_id for change in changes if 0 < change.tag_id < 2**63]
    found = {tag.pk: tag for tag in tags.filter(pk__in=ids)}
    if unknown := sorted({change.tag_id for change in changes} - set(found)):
        raise UnknownTags(unknown)
    return found


def publish_expirations(
    *,
    changes: Sequence[ExpirationChange],
    by: User | None,
    at: dt.datetime,
    reason: str = "",
    seen: Mapping[int, int] | None = None,
) -> RuleChange:
    """Publish all of these together or none, as one rule change; tags that nothing changes for are left out.

    `seen`: by tag id the version that the person saw (see `version_of`). Raises RepeatedTags, InvalidDays,
    UnknownTags, RuleStale (somebody published one of them since; of which fields, by tag), NothingToPublish, and
    StillApplying as `publish_rule_change` does.
    """
    check_changes(changes)
    with transaction.atomic():
        tags = tags_of(changes, is_locked=True)
        _refuse_stale(tags, seen or {})
        retroactive = {change.tag_id: change.days for change in changes if change.is_retroactive}
        others = with_other_clocks(tags=retroactive.items())
        wanted = [change for change in changes if change.tag_id in others or _is_other(tags, change)]
        if not wanted:
            raise NothingToPublish
        for change in wanted:
            tags[change.tag_id].expiration_days = change.days
        saved = sorted((tags[change.tag_id] for change in wanted), key=lambda tag: tag.pk)
        return publish_rule_change(save=saved, by=by, at=at, reason=reason, retroactive=retroactive)


def _is_other(tags: Mapping[int, Tag], change: ExpirationChange) -> bool:
    return tags[change.tag_id].expiration_days != change.days


def _refuse_stale(tags: Mapping[int, Tag], seen: Mapping[int, int]) -> None:
    stale = [tag for tag in tags.values() if tag.pk in seen and seen[tag.pk] != version_of(tag)]
    if stale:
        raise RuleStale(
            [
                replace(one, label=f"{tag.name}: {one.label}") if len(tags) > 1 else one
                for tag in stale
                for one in changed_since(tag, seen[tag.pk])
            ]
        )


def preview_expirations(*, changes: Sequence[ExpirationChange], at: dt.datetime) -> list[ExpirationEffect]:
    """What each change would do to assignments, in the order given; nothing is written.

    Raises RepeatedTags, InvalidDays, UnknownTags. One statement counts for all tags.
    """
    check_changes(changes)
    tags_of(changes)
    rows = count_effects(
        proposed=[(change.tag_id, change.days, change.is_retroactive) for change in changes],
        at=at,
    )
    return [
        ExpirationEffect(tag_id=tag_id, assignments=kept, affected=affected, expired=expired, revived=revived)
        for tag_id, kept, affected, expired, revived in rows
    ]
