"""Merge one tag into another, and undo that. Rules change at once; a job moves the assignments range by range."""

import datetime as dt

from django.db import transaction

from accounts.models import User
from jobs.models import Job
from leads.selections import check_drift
from tags.merges import sql
from tags.models import LeadTag, MergedAssignment, RuleChange, Tag, TagAlias, TagMerge
from tags.operations import publish_rule_change, start_rule_change_job
from tags.queries import unapplied_changes

KEPT_FOR = dt.timedelta(days=30)  # what a merge found on leads, for undoing it


class MergeRefused(Exception):
    """The merge, or its undoing, cannot be done; the text says why and how to mend it."""


def refuse_merge(*, merged: Tag, into: Tag) -> None:
    """Raise MergeRefused where one tag cannot be merged into the other."""
    for tag in (merged, into):
        if tag.merged_into is not None:
            raise MergeRefused(f"{tag} was merged into {tag.merged_into} already.")
    if merged.pk == into.pk:
        raise MergeRefused("A tag cannot be merged into itself; choose another one.")
    for tag in (merged, into):
        if unapplied_changes(tag):
            raise MergeRefused(f"A change of {tag} is still being applied; merge them when that is done.")
    if into.is_archived:
        raise MergeRefused(f"{into} is archived and gives no points; take it out of the archive first.")


def _locked(*pks: int) -> dict[int, Tag]:
    rows = Tag.objects.select_for_update(no_key=True, of=("self",)).select_related("merged_into")
    return {tag.pk: tag for tag in rows.filter(pk__in=pks).order_by("pk")}


def merge_tags(*, merged_id: int, into_id: int, expected: int, by: User | None, at: dt.datetime) -> TagMerge:
    """Archive a tag in favour of another, which takes over its names now and its leads by and by.

    `expected`: how many assignments (not removed) the person confirmed. Raises MergeRefused, or CountDrifted when
    more than one in a hundred came or went since.
    """
    with transaction.atomic():
        tags = _locked(merged_id, into_id)
        merged, into = tags[merged_id], tags[into_id]
        refuse_merge(merged=merged, into=into)
        found = sql.extent(merged=merged.pk, into=into.pk, at=at).assignments
        check_drift(confirmed=expected, found=found)
        was_archived = merged.is_archived
        merged.is_archived, merged.merged_into, merged.needs_review = True, into, False
        reason = f"merged {merged} into {into}"
        change = publish_rule_change(save=[merged, into], by=by, at=at, reason=reason)
        aliases = TagAlias.objects.filter(tag=merged)
        alias_keys = sorted(aliases.values_list("name_key", flat=True))
        aliases.update(tag=into)
        TagAlias.objects.get_or_create(name_key=merged.name_key, defaults={"tag": into})
        return TagMerge.objects.create(
            change=change, merged=merged, into=into, was_archived=was_archived, alias_keys=alias_keys
        )


def refuse_undo(*, merge: TagMerge, at: dt.datetime) -> None:
    """Raise MergeRefused where a merge cannot be undone (any more)."""
    if merge.undo_change_id is not None:
        raise MergeRefused("This merge was undone already.")
    if merge.change.applied_at is None:
        raise MergeRefused("The merge is still being applied; undo it when that is done.")
    if merge.change.at <= at - KEPT_FOR:
        raise MergeRefused(f"It is more than {KEPT_FOR.days} days ago; what was there before is not kept any longer.")
    if merge.into.merged_into is not None:
        raise MergeRefused(f"{merge.into} was merged into {merge.into.merged_into} since; undo that merge first.")
    for tag in (merge.merged, merge.into):
        if unapplied_changes(tag):
            raise MergeRefused(f"A change of {tag} is still being applied; undo the merge when that is done.")


def undo_merge(*, merge_id: int, by: User | None, at: dt.datetime) -> TagMerge:
    """Give a merged tag its names back now, and by a job its leads wherever their clocks are as the merge left them."""
    with transaction.atomic():
        merge = TagMerge.objects.select_for_update(no_key=True).get(pk=merge_id)
        tags = _locked(merge.merged_id, merge.into_id)
        merged, into = tags[merge.merged_id], tags[merge.into_id]
        merge.merged, merge.into = merged, into
        refuse_undo(merge=merge, at=at)
        TagAlias.objects.filter(tag=into, name_key=merged.name_key).delete()
        TagAlias.objects.filter(tag=into, name_key__in=merge.alias_keys).update(tag=merged)
        merged.is_archived, merged.merged_into = merge.was_archived, None
        reason = f"undid the merge of {merged} into {into}"
        merge.undo_change = publish_rule_change(save=[merged, into], by=by, at=at, reason=reason)
        merge.save(update_fields=["undo_change"])
    return merge


def move_range(*, merge: TagMerge, after: int, upto: int, at: dt.datetime) -> tuple[list[int], dict[str, int]]:
    """Move the assignments on leads with ids in (after, upto]; the leads, now due, and counts."""
    ids, moved, joined = sql.merge_range(
        merge_id=merge.pk, merged=merge.merged_id, into=merge.into_id, after=after, upto=upto, at=at
    )
    return ids, {"moved": moved, "joined": joined}


def give_back_range(*, merge: TagMerge, after: int, upto: int, at: dt.datetime) -> tuple[list[int], dict[str, int]]:
    """Undo on leads with ids in (after, upto]; the leads, now due, and counts."""
    ids, restored = sql.undo_range(
        merge_id=merge.pk, merged=merge.merged_id, into=merge.into_id, after=after, upto=upto, at=at
    )
    return ids, {"restored": restored, "left": len(ids) - restored}


def finish_merge(*, merge: TagMerge, at: dt.datetime) -> None:
    """Note what a merge did, and that its change is applied. Call it in the chunk that ends the job."""
    noted = MergedAssignment.objects.filter(merge=merge)
    joined = noted.filter(own_assigned_at__isnull=False).count()
    every = noted.count()
    if merge.moved is None or every > merge.moved + (merge.joined or 0):  # what was noted may be forgotten by now
        TagMerge.objects.filter(pk=merge.pk).update(moved=every - joined, joined=joined)
        RuleChange.objects.filter(pk=merge.change_id).update(affected=every)
    RuleChange.objects.filter(pk=merge.change_id, applied_at__isnull=True).update(applied_at=at)


def finish_undo(*, merge: TagMerge, at: dt.datetime) -> None:
    """Note what undoing gave back, and that its change is applied. Call it in the chunk that ends the job."""
    left = MergedAssignment.objects.filter(merge=merge).count()
    restored = (merge.moved or 0) + (merge.joined or 0) - left
    TagMerge.objects.filter(pk=merge.pk).update(restored=restored, left=left)
    RuleChange.objects.filter(undone_merge=merge, applied_at__isnull=True).update(affected=restored, applied_at=at)


def resume_merges() -> list[Job]:
    """Queue again each merge whose tag came onto leads after it was done, by a list that was under way meanwhile.

    One look into leadtag_by_tag for each merged tag.
    """
    merges = TagMerge.objects.filter(undo_change=None, change__applied_at__isnull=False).select_related("change")
    strays = [merge for merge in merges if LeadTag.objects.filter(tag_id=merge.merged_id).exists()]
    return [start_rule_change_job(change=merge.change) for merge in strays]


def forget_former_clocks(*, at: dt.datetime) -> int:
    """Delete what merges noted for undoing them, once that is no longer offered; how many rows."""
    deleted, _ = MergedAssignment.objects.filter(merge__change__at__lte=at - KEPT_FOR).delete()
    return deleted
