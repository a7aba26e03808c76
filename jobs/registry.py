"""Which function does a kind of job. Rooms register theirs from their AppConfig."""

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.models import Job
    from jobs.runs import JobRun

type_Handler = Callable[["JobRun"], dict[str, Any]]
type_Work = Callable[["Job", int, int], dict[str, int]]
type_OnEnd = Callable[["Job"], None]
type_NextSteps = Callable[["Job", dt.datetime], "list[Step]"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the page of a job offers beside its result: a link, or a button that posts; `right`: who sees it."""

    label: str
    url: str
    icon: str
    right: str = ""
    is_post: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """`handler(run)` does the whole job; `work(job, after, upto)` does one range of it, in one transaction.

    `on_end(job)` hears that a worker ended it, well or not. It is news, not work: it may be lost in a crash.
    `next_steps(job, at)` says what the job's page offers.
    """

    handler: type_Handler
    work: type_Work | None = None
    on_end: type_OnEnd | None = None
    next_steps: type_NextSteps | None = None


_kinds: dict[str, Kind] = {}


def register(
    kind: str,
    handler: type_Handler,
    *,
    work: type_Work | None = None,
    on_end: type_OnEnd | None = None,
    next_steps: type_NextSteps | None = None,
) -> None:
    """Say who does jobs of `kind`; the handler's answer becomes the job's result.

    The counts that `work` answers with add up over the ranges; "done" among them moves the bar.
    """
    _kinds[kind] = Kind(handler, work, on_end, next_steps)


def handler_for(kind: str) -> type_Handler:
    return _kinds[kind].handler


def work_for(kind: str) -> type_Work:
    work = _kinds[kind].work
    assert work is not None, f"{kind} has no ranges"
    return work


def steps_for(job: "Job", at: dt.datetime) -> list[Step]:
    """What the room that does such jobs offers on the job's page."""
    kind = _kinds.get(job.kind)
    return kind.next_steps(job, at) if kind is not None and kind.next_steps is not None else []


def tell_end(job: "Job") -> None:
    """Say that a job has ended; whoever fails to hear it does not change how it ended."""
    on_end = _kinds[job.kind].on_end if job.kind in _kinds else None
    if on_end is None:
        return
    try:
        on_end(job)
    except Exception:
        logger.exception("job %s has ended, and telling so failed", job.pk)
