"""What people must hear of: a nightly run that failed or is overdue, scores that differ, history that strays."""

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils import timezone

from jobs.models import Job
from jobs.operations import take_slot
from scoring.nightly import NIGHTLY, last_slot
from scoring.operations import RECALCULATE
from scoring.sql import history, passes, watch

logger = logging.getLogger(__name__)
OVERDUE_AFTER = dt.timedelta(hours=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """What is wrong and what to do, in words, and where to do it, if that is a page."""

    name: str
    title: str
    advice: str
    url: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What one look finds; `is_overdue`: the last due slot has no run that succeeded, two hours after its time."""

    live_jobs: int
    is_overdue: bool
    alarms: list[Alarm]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What a monitoring system asks for; moments in seconds since 1970."""

    due_leads: int
    oldest_due_seconds: float
    nightly_last_success: float | None
    is_nightly_overdue: bool
    live_jobs: int
    failed_jobs: int
    history_strays: int
    alarms: int


# What upper rooms watch, and the right of who is told.
type_Source = Callable[[dt.datetime], Sequence[Alarm]]
_sources: list[tuple[str, type_Source]] = []


def add_source(source: type_Source, *, right: str) -> None:
    """Ask `source` at each page of a person with that right: it should cost one short statement."""
    _sources.append((right, source))


def look(*, at: dt.datetime, may: Callable[[str], bool] = lambda right: True) -> Watch:
    """The alarms of this moment for who has the rights that `may` knows of; the scores' own by one short statement."""
    state = watch.read_state(nightly=NIGHTLY, full=RECALCULATE)
    is_overdue = _is_overdue(state, at)
    own = [_about_nightly(state, at, is_overdue), _about_differences(state), _about_strays(state)]
    alarms = [alarm for alarm in own if alarm is not None]
    for right, source in _sources:
        alarms += source(at) if may(right) else ()
    return Watch(live_jobs=state["live_jobs"], is_overdue=is_overdue, alarms=alarms)


def _is_overdue(state: dict[str, Any], at: dt.datetime) -> bool:
    slot = last_slot(at)
    if state["installed_at"] is None or state["installed_at"] > slot.due_at:
        return False
    due_at = slot.due_at
    if state["slot"] == slot.name:
        if state["status"] == Job.Status.SUCCEEDED:
            return False
        if state["status"] in Job.LIVE:  # begun late, it has as much time as one that began in time
            due_at = max(due_at, state["created_at"])
    return at >= due_at + OVERDUE_AFTER


def _about_nightly(state: dict[str, Any], at: dt.datetime, is_overdue: bool) -> Alarm | None:
    if state["status"] == Job.Status.FAILED:
        return Alarm(
            name="nightly-failed",
            title=f"The nightly run of {_night(state['slot'])} failed.",
            advice="Scores stay current each minute, but are not checked.",
            url=_run_url(state),
            link="See why, then run it again",
        )
    if not is_overdue:
        return None
    slot = last_slot(at)
    title, link = f"The nightly run of {_night(slot.name)} is overdue.", "Look at the run"
    if state["slot"] != slot.name and state["status"] not in Job.LIVE:
        link = "Look at the runs"
        advice = (
            f"It was due at {timezone.localtime(slot.due_at):%-I:%M %p} and has not begun. See whether the scheduler "
            "(beat) and a worker are running; it begins by itself within a minute of their start."
        )
    elif state["status"] == Job.Status.QUEUED:
        advice = "It waits for a worker. See whether one is running; it begins by itself."
    elif state["status"] == Job.Status.RUNNING:
        advice = "It has been at work for more than two hours. See how far it is; stopping it loses nothing."
    else:
        title, link = f"The nightly run of {_night(slot.name)} was stopped.", "Run it again"
        advice = "Scores stay current each minute, but are not checked."
    return Alarm(name="nightly-overdue", title=title, advice=advice, url=_run_url(state), link=link)


def _about_differences(state: dict[str, Any]) -> Alarm | None:
    if not state["differences"] or state["is_recalculated"]:
        return None
    scores = "1 stored score" if state["differences"] == 1 else f"{state['differences']:,} stored scores"
    return Alarm(
        name="scores-differ",
        title=f"{scores} differed from the tags.",
        advice=f"The nightly run of {_night(state['slot'])} found this and changed nothing. "
        "Recalculate all scores, and tell whoever runs this installation.",
        url=reverse("runs:list"),
        link="Recalculate",
    )


def _about_strays(state: dict[str, Any]) -> Alarm | None:
    if not state["has_strays"]:
        return None
    return Alarm(
        name="history-strays",
        title="Score history lies outside of every month.",
        advice="Nothing is lost. Whoever runs this installation should see whether its clocks are right, then move it "
        "as docs/operation.md says.",
        url="",
        link="",
    )


def _night(slot: str) -> str:
    date = dt.date.fromisoformat(slot)
    return f"{date:%B} {date.day}"


def _run_url(state: dict[str, Any]) -> str:
    address = reverse("runs:list")
    return f"{address}#run-{state['id']}" if state["id"] else address


def log_alarms(*, at: dt.datetime) -> list[Alarm]:
    """Log what is wrong as errors, when it changes and then once an hour; those that were logged."""
    alarms = look(at=at).alarms
    if not alarms:
        return []
    names = " ".join(alarm.name for alarm in alarms)
    if not take_slot(name="scoring.alarms", slot=f"{at.astimezone(dt.UTC):%Y-%m-%dT%HZ} {names}"):
        return []
    for alarm in alarms:
        logger.error("%s %s", alarm.title, alarm.advice)
    return alarms


def measure(*, at: dt.datetime) -> Metrics:
    """Everything at once, each by an index. Indexes: lead_due, job_by_kind, job_failed."""
    watched, oldest = look(at=at), passes.oldest_due_at(at=at)
    succeeded = Job.objects.filter(kind=NIGHTLY, status=Job.Status.SUCCEEDED).newest_first()
    last_success = succeeded.values_list("finished_at", flat=True).first()
    failed = Job.objects.filter(status=Job.Status.FAILED, finished_at__gt=at - dt.timedelta(hours=24))
    return Metrics(
        due_leads=passes.count_due(at=at),
        oldest_due_seconds=(at - oldest).total_seconds() if oldest else 0.0,
        nightly_last_success=last_success.timestamp() if last_success else None,
        is_nightly_overdue=watched.is_overdue,
        live_jobs=watched.live_jobs,
        failed_jobs=failed.count(),
        history_strays=history.count_strays(),
        alarms=len(watched.alarms),
    )
