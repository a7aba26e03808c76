"""Which function does a kind of job. Rooms register theirs from their AppConfig."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.models import Job
    from jobs.runs import JobRun

type_Handler = Callable[["JobRun"], dict[str, Any]]
type_Work = Callable[["Job", int, int], dict[str, int]]


@dataclass(frozen=True, slots=True)
class Kind:
    """`handler(run)` does the whole job; `work(job, after, upto)` does one range of it, in one transaction."""

    handler: type_Handler
    work: type_Work | None = None


_kinds: dict[str, Kind] = {}


def register(kind: str, handler: type_Handler, *, work: type_Work | None = None) -> None:
    """Say who does jobs of `kind`; the handler's answer becomes the job's result.

    The counts that `work` answers with add up over the ranges; "done" among them moves the bar.
    """
    _kinds[kind] = Kind(handler, work)


def handler_for(kind: str) -> type_Handler:
    return _kinds[kind].handler


def work_for(kind: str) -> type_Work:
    work = _kinds[kind].work
    assert work is not None, f"{kind} has no ranges"
    return work
