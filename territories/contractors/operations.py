"""Contractors: make one, change one, pause, resume, end; what each does to its referrals and territories."""

import datetime as dt
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q, QuerySet

from accounts.models import User
from imports.values import clean_text
from tags.models import Tag
from territories.contractors.trail import Kind, agreement_of, note_changes, note_event, version_of
from territories.generation.taking import TakenUp, take_up_zips
from territories.holdings.operations import Ended, end_territories, take_back
from territories.models import (
    Contractor,
    ContractorContact,
    ContractorEvent,
    Referral,
    ReferralReturn,
    Territory,
    TerritoryWait,
)
from territories.sql.locks import lock_dealing

Status = Contractor.Status
ROLE = "contractor"


class StatusRefused(Exception):
    """The contractor is in a state from which it cannot go where it should."""

    def __init__(self, contractor: Contractor, wanted: str) -> None:
        how = {
            "paused": "Only an active contractor can be paused.",
            "active": "Only a paused contractor can be resumed.",
            "ended": "It has ended before.",
        }[wanted]
        super().__init__(f"{contractor} is {contractor.status}. {how}")


class CompanyTaken(Exception):
    """Another contractor has this company's name."""

    def __init__(self, company: str) -> None:
        super().__init__(f"There is a contractor called {company} already. Open that one, or tell them apart by name.")


class ContractorStale(Exception):
    """The caller has not seen the contractor as it is: `changes` are what came since, the newest last.

    Where the caller's version was never there, they are all that were made. `version` is the one in force.
    """

    def __init__(self, changes: Sequence[ContractorEvent], version: int) -> None:
        self.changes = changes
        self.version = version
        super().__init__("Somebody changed this contractor meanwhile; nothing of yours was saved.")


class LoginRefused(Exception):
    """The contractor can have no such login."""


def tidy_company(text: str) -> str:
    """A company's name as it is kept and compared: no invisible characters, one blank between words."""
    return clean_text(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What pausing or ending a contractor would find, and what has ended."""

    assigned: int
    delivered: int
    converted: int
    returned: int
    cancelled: int
    held: int
    future: int
    waits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What pausing or ending did: taken back and offered again, and what stays with the contractor."""

    contractor: Contractor
    cancelled: int
    requeued: int
    delivered: int
    converted: int
    ended: Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person at a contractor, as it is typed."""

    name: str
    role: str = ""
    email: str = ""
    phone: str = ""


def save_contractor(
    *,
    contractor: Contractor,
    at: dt.datetime,
    by: User | None,
    wanted_tags: Collection[Tag] | None = None,
    unwanted_tags: Collection[Tag] | None = None,
    contacts: Sequence[Contact] | None = None,
    fields: Collection[str] | None = None,
    seen: int | None = None,
) -> Contractor:
    """Save a new or changed contractor with wishes, contacts and a note of what changed; what is None stays as it is.

    `fields`: of a changed one only these are written, so that two who change different ones both count.
    `seen`: the `version_of` it that the caller has seen; a newer one raises ContractorStale.
    Its status is not written: `pause_contractor` and its like do what belongs to it. Raises CompanyTaken.
    """
    try:
        with transaction.atomic():
            before = None
            if contractor._state.adding:
                contractor.created_at = at
                contractor.save()
                note_event(contractor=contractor, kind=Kind.MADE, at=at, by=by)
            else:
                before = agreement_of(_lock(contractor))
                if seen is not None and (version := version_of(contractor)) != seen:
                    changes = ContractorEvent.objects.filter(contractor=contractor, kind=Kind.CHANGED)
                    changes = changes.select_related("by").order_by("pk")
                    raise ContractorStale(list(changes.filter(pk__gt=seen) or changes), version)
                names = {field.name for field in contractor._meta.concrete_fields} if fields is None else set(fields)
                contractor.save(update_fields=names - {"id", "status", "user", "sandbox_of", "created_at"})
            if wanted_tags is not None:
                contractor.wanted_tags.set(wanted_tags)
            if unwanted_tags is not None:
                contractor.unwanted_tags.set(unwanted_tags)
            if contacts is not None:
                contractor.contacts.all().delete()
                ContractorContact.objects.bulk_create(
                    ContractorContact(
                        contractor=contractor, name=one.name, role=one.role, email=one.email, phone=one.phone
                    )
                    for one in contacts
                )
            if before is not None:
                now = Contractor.objects.get(pk=contractor.pk)
                note_changes(contractor=now, before=before, at=at, by=by)
    except IntegrityError as error:
        if "contractor_unique_company" in str(error):
            raise CompanyTaken(contractor.company) from error
        raise
    return contractor


def standing_of(*, contractor: Contractor, at: dt.datetime) -> Standing:
    """Its referrals by state, its territories and its places in line. Index: referral_by_contractor."""
    states = _by_state(contractor)
    territories = Territory.objects.filter(contractor=contractor).filter(Q(to_at__isnull=True) | Q(to_at__gt=at))
    return Standing(
        **states,
        held=territories.filter(from_at__lte=at).count(),
        future=_future(contractor, at).count(),
        waits=TerritoryWait.objects.filter(contractor=contractor, ended_at__isnull=True).count(),
    )


def _future(contractor: Contractor, at: dt.datetime) -> QuerySet[Territory]:
    future = Territory.objects.filter(contractor=contractor, from_at__gt=at)
    return future.filter(Q(to_at__isnull=True) | Q(to_at__gt=F("from_at")))


def _by_state(contractor: Contractor) -> dict[str, int]:
    states = ("assigned", "delivered", "converted", "returned", "cancelled")
    counts: Mapping[str, int] = Referral.objects.filter(contractor=contractor).aggregate(
        **{state: Count("pk", filter=Q(status=state)) for state in states}
    )
    return dict(counts)


def _lock(contractor: Contractor) -> Contractor:
    return Contractor.objects.select_for_update(no_key=True).get(pk=contractor.pk)


def pause_contractor(*, contractor: Contractor, by: User | None, at: dt.datetime) -> Stopped:
    """Assign nothing new to it; what it was assigned and not delivered is offered again later.

    Delivered and converted referrals stay, and so do its territories. Raises StatusRefused.
    """
    with transaction.atomic():
        now = _lock(contractor)
        if now.status != Status.ACTIVE:
            raise StatusRefused(now, Status.PAUSED)
        return _stop(now, Status.PAUSED, by=by, at=at, note="contractor paused")


def resume_contractor(*, contractor: Contractor, by: User | None, at: dt.datetime) -> TakenUp:
    """Let it have leads again, at once those that waited in its ZIPs. Raises StatusRefused."""
    with transaction.atomic():
        now = _lock(contractor)
        if now.status != Status.PAUSED:
            raise StatusRefused(now, Status.ACTIVE)
        Contractor.objects.filter(pk=now.pk).update(status=Status.ACTIVE)
        note_event(contractor=now, kind=Kind.RESUMED, at=at, by=by)
        held = Territory.objects.held(at).filter(contractor=now).order_by("zip").values_list("zip", flat=True)
        return take_up_zips(zips=list(held), at=at, by=by) if held else TakenUp()


def end_contractor(*, contractor: Contractor, by: User | None, at: dt.datetime) -> Stopped:
    """End the business with it: as pausing, and its territories end now; future ones are called off.

    It also leaves every line. Delivered and converted referrals stay, and its login may go on working them. Raises
    StatusRefused, TerritoriesBusy.
    """
    with transaction.atomic():
        now = _lock(contractor)
        if now.status == Status.ENDED:
            raise StatusRefused(now, Status.ENDED)
        running = Territory.objects.held(at).filter(contractor=now) | _future(now, at)
        ids = list(running.values_list("pk", flat=True))
        note = "contractor ended"
        # Territories first: locks of ZIPs come before the lock of dealing.
        ended = end_territories(ids=ids, by=by, at=at, note=note) if ids else Ended()
        stopped = _stop(now, Status.ENDED, by=by, at=at, note=note)
        TerritoryWait.objects.filter(contractor=now, ended_at__isnull=True).update(ended_at=at, note=note)
        ReferralReturn.objects.filter(referral__contractor=now).update(is_replacement_owed=False)
    return Stopped(
        contractor=stopped.contractor,
        cancelled=stopped.cancelled + ended.cancelled,
        requeued=stopped.requeued + ended.requeued,
        delivered=stopped.delivered,
        converted=stopped.converted,
        ended=ended,
    )


def _stop(contractor: Contractor, status: str, *, by: User | None, at: dt.datetime, note: str) -> Stopped:
    # A run that is dealing now has read it as active: what it deals until it is done is taken back, too.
    lock_dealing()
    Contractor.objects.filter(pk=contractor.pk).update(status=status)
    contractor.status = status
    note_event(contractor=contractor, kind=status, at=at, by=by)
    undelivered = Referral.objects.filter(contractor=contractor, status=Referral.Status.ASSIGNED).values_list("pk")
    cancelled, requeued = take_back(ids=[pk for (pk,) in undelivered], at=at, by=by, note=note)
    counts = _by_state(contractor)
    return Stopped(
        contractor=contractor,
        cancelled=cancelled,
        requeued=requeued,
        delivered=counts["delivered"],
        converted=counts["converted"],
        ended=Ended(),
    )


def create_login(*, contractor: Contractor, at: dt.datetime, by: User | None, username: str = "") -> User:
    """Give a contractor the login whose tokens act for it: without a password, in the group of contractors.

    A name is made of the company's where none is given. Raises LoginRefused.
    """
    with transaction.atomic():
        now = _lock(contractor)
        if now.user_id is not None:
            raise LoginRefused(f"{now} has the login {now.user} already.")
        if now.sandbox_of_id is not None or now.status == Status.ENDED:
            raise LoginRefused(f"{now} does no business, so it gets no login.")
        name = username.strip() or _free_name(now.company)
        if not re.fullmatch(r"[\w.@+-]{1,150}", name):
            raise LoginRefused(f"“{name[:40]}” is no login name: up to 150 letters, digits and . @ + - _ only.")
        if User.objects.filter(username__iexact=name).exists():
            raise LoginRefused(f"Somebody has the login {name} already. Choose another name.")
        user = User(username=name)
        user.set_unusable_password()
        user.save()
        user.groups.add(Group.objects.get(name=ROLE))
        Contractor.objects.filter(pk=now.pk).update(user=user)
        note_event(contractor=now, kind=Kind.LOGIN_MADE, at=at, by=by, note=name)
    return user


def _free_name(company: str) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", company.lower()).strip("-")[:60] or ROLE
    taken = set(User.objects.filter(username__istartswith=base).values_list("username", flat=True))
    taken = {name.lower() for name in taken}
    return base if base not in taken else next(f"{base}-{n}" for n in range(2, 10_000) if f"{base}-{n}" not in taken)
