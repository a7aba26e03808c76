"""Laws of the whole house, walked over models, modules and commands. An exception stands here with its reason."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import get_commands
from django.db import models

ROOT = Path(settings.BASE_DIR)
# Top to bottom; those that do not exist yet have their place already.
ORDER = ["leadscore", "deals", "mailings", "territories", "imports", "scoring", "tags", "leads", "jobs", "accounts"]
ROOMS = [room for room in ORDER if (ROOT / room).is_dir()]

# Where the clock is read: whoever is called from outside, and the machinery that says when a worker was last alive.
OUTERMOST = ("views.py", "run_views.py", "api.py", "tasks.py", "admin.py")
CLOCK_READERS = {
    "accounts/authentication.py:ApiTokenAuthentication.validate_user": "called by the framework, once a request",
    "imports/operations.py:_finish": "how long the import took, for people",
    "leadscore/context.py:_watch": "called by the framework, once a page",
    "leadscore/templatetags/pages.py:duration": "how long a job has run so far, for people",
    "scoring/apps.py:make_partitions": "called by the framework, after migrate",
    "scoring/merges.py:run_merge": "as with a rule change below",
    "scoring/merges.py:run_undo": "as with a rule change below",
    "scoring/nightly.py:check_scores": "people write meanwhile: what became due since the run began is left out",
    "scoring/operations.py:run_rule_change": "a rule change is applied when it is, not when its job began",
    "tags/bulk.py:_score_after_commit": "leads that were scored since the job began would be newer than its moment",
    "tags/operations.py:start_rule_change_job": "read after the commit: whoever scored later knew the new rules",
}
CURSOR_OPENERS = {
    "accounts/management/commands/ensure_admin.py": "an advisory lock, so that two first starts make one admin",
    "jobs/runs.py": "a heartbeat must skip a locked row, which the ORM's update cannot",
    "leadscore/views.py": "healthz asks whether the database answers at all",
    "leadscore/benchmarks/bench.py": "measures the statements themselves",
    "leadscore/benchmarks/importing.py": "measures the floor, a plain COPY",
}


class Module(NamedTuple):
    """One file of a room, without its migrations."""

    name: str
    tree: ast.Module
    text: str


def modules() -> Iterator[Module]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "migrations" not in path.parts:
                text = path.read_text()
                yield Module(str(path.relative_to(ROOT)), ast.parse(text), text)


def our_models() -> list[type[models.Model]]:
    return [model for model in apps.get_models() if model._meta.app_label in ROOMS]


def named_nodes(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Every node with the dotted name of the function or class that it stands in."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{node.name}" if prefix else node.name
            yield name, node
            yield from named_nodes(node, name)
        else:
            yield prefix, node
            yield from named_nodes(node, prefix)


# Rooms ----------------------------------------------------------------------------------------------------------------


def test_rooms_are_listed_top_to_bottom_everywhere() -> None:
    assert [app for app in settings.INSTALLED_APPS if app in ORDER] == ROOMS
    pyproject = (ROOT / "pyproject.toml").read_text()
    for name in ("root_packages", "layers"):
        found = re.search(rf"^{name} = \[(.*?)\]", pyproject, re.MULTILINE | re.DOTALL)
        assert found is not None
        assert re.findall(r'"(\w+)"', found[1]) == ROOMS, name


def test_imports_point_downward() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_foreign_keys_point_downward() -> None:
    upward = [
        f"{model._meta.label}.{field.name} -> {field.related_model._meta.label}"
        for model in our_models()
        for field in [*model._meta.fields, *model._meta.many_to_many]
        if isinstance(field.related_model, type)
        and (target := field.related_model._meta.app_label) in ROOMS
        and ROOMS.index(target) < ROOMS.index(model._meta.app_label)
    ]
    assert upward == []


# Models and migrations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", our_models(), ids=lambda model: model._meta.label)
def test_a_model_says_what_a_row_is(model: type[models.Model]) -> None:
    assert model.__str__ is not models.Model.__str__


@pytest.mark.parametrize("model", our_models(), ids=lambda model: model._meta.label)
def test_constraints_and_indexes_have_names_that_speak(model: type[models.Model]) -> None:
    meta = model._meta
    assert not meta.unique_together
    for rule in [*meta.constraints, *meta.indexes]:
        assert re.fullmatch(rf"{meta.model_name}_[a-z0-9_]+|{meta.model_name}_unique", rule.name), rule.name
        assert not re.search(r"_[0-9a-f]{6,8}(_idx|_uniq)?$", rule.name), f"{rule.name} is what Django made up"


def test_uniqueness_is_a_named_constraint() -> None:
    """`unique=True` leaves the name to Django; a one-to-one and what comes from a framework cannot help it."""
    unnamed = [
        f"{model._meta.label}.{field.name}"
        for model in our_models()
        for field in model._meta.local_fields
        if field.unique and not field.primary_key and not isinstance(field, models.OneToOneField)
    ]
    assert unnamed == ["accounts.User.username"]


def test_migrations_have_names_that_say_what_they_do() -> None:
    for room in ROOMS:
        for path in (ROOT / room).glob("migrations/[0-9]*.py"):
            assert re.fullmatch(r"0001_initial|\d{4}_[a-z][a-z0-9_]+", path.stem), path
            assert not re.search(r"auto_|_and_more|alter_\w+_options", path.stem), path


# Inside a room --------------------------------------------------------------------------------------------------------


def test_a_task_takes_ids_and_calls_one_operation() -> None:
    tasks = 0
    for module in modules():
        for name, node in named_nodes(module.tree):
            if not isinstance(node, ast.FunctionDef):
                continue
            decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
            if not any(re.match(r"shared_task\b|app\.task\b", decorator) for decorator in decorators):
                continue
            tasks += 1
            assert module.name.endswith("/tasks.py"), f"{module.name}:{name} belongs into tasks.py"
            body = node.body[1:] if ast.get_docstring(node) else node.body
            assert (body[-1].end_lineno or 0) - body[0].lineno < 6, f"{module.name}:{name} has more than 6 lines"
            assert "name=" in "".join(decorators), f"{module.name}:{name}: a renamed function must not lose its queue"
    assert tasks


def test_only_sql_modules_open_a_cursor() -> None:
    openers = {
        module.name
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "cursor"
    }
    assert {name for name in openers if not name.endswith("/sql.py") and "/sql/" not in name} <= set(CURSOR_OPENERS)
    assert "scoring/sql/passes.py" in openers


def test_the_clock_is_read_by_the_outermost_caller_only() -> None:
    readers = set()
    for module in modules():
        path = Path(module.name)
        if path.name.endswith(OUTERMOST) or "commands" in path.parts or path.parts[0] == "jobs":
            continue
        for name, node in named_nodes(module.tree):
            # A reference counts as well as a call: `default=timezone.now` reads the clock too.
            if isinstance(node, ast.Attribute) and re.fullmatch(
                r"(.+\.)?(timezone\.now|timezone\.localdate|datetime\.(now|utcnow|today)|date\.today)",
                ast.unparse(node),
            ):
                readers.add(f"{module.name}:{name}")
    assert readers == set(CLOCK_READERS)


def test_no_statement_reads_the_clock_of_the_server() -> None:
    for module in modules():
        if module.name.endswith("/sql.py") or "/sql/" in module.name:
            found = re.search(r"\b(now\(\)|current_timestamp|current_date|clock_timestamp)", module.text, re.IGNORECASE)
            assert found is None, f"{module.name}: {found}"


def test_every_command_has_a_test_that_names_it() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__))
    commands = [name for name, app in get_commands().items() if app in ROOMS]
    assert {"import_leads", "recalculate_scores", "load_samples"} <= set(commands)
    untested = [name for name in commands if f'"{name}"' not in tests]
    assert untested == []
