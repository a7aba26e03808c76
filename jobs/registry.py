"""Which function does a kind of job. Rooms register theirs from their AppConfig."""

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

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """`handler(run)` does the whole job; `work(job, after, upto)` does one range of it, in one transaction.

    `on_end(job)` hears that a worker ended it, well or not. It is news, not work: it may be lost in a crash.
    """

    handler: type_Handler
    work: type_Work | None = None
    on_end: type_OnEnd | None = None


_kinds: dict[str, Kind] = {}


def register(
    kind: str, handler: type_Handler, *, work: type_Work | None = None, on_end: type_OnEnd | None = None
) -> None:
    """Say who does jobs of `kind`; the handler's answer becomes the job's result.

    The counts that `work` answers with add up over the ranges; "done" among them moves the bar.
    """
    _kinds[kind] = Kind(handler, work, on_end)


def handler_for(kind: str) -> type_Handler:
    return _kinds[kind].handler


def work_for(kind: str) -> type_Work:
    work = _kinds[kind].work
    assert work is not None, f"{kind} has no ranges"
    return work


def tell_end(job: "Job") -> None:
    """Say that a job has ended; whoever fails to hear it does not change how it ended."""
    on_end = _kinds[job.kind].on_end if job.kind in _kinds else None
    if on_end is None:
        return
    try:
        on_end(job)
    except Exception:
        logger.exception("job %s has ended, and telling so failed", job.pk)
