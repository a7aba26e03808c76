"""Which function does a kind of job. Rooms register theirs from their AppConfig."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.runs import JobRun

type_Handler = Callable[["JobRun"], dict[str, Any]]
_handlers: dict[str, type_Handler] = {}


def register(kind: str, handler: type_Handler) -> None:
    """Say that `handler(run)` does jobs of `kind`; its answer becomes the job's result."""
    _handlers[kind] = handler


def handler_for(kind: str) -> type_Handler:
    return _handlers[kind]
