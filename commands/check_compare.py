"""Show what an edit changes, beside the released version of each file: `check --compare`."""

import contextlib
import io
import pathlib
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

from commands.check_comparison import Comparison, Seen
from commands.check_differences import milliseconds, of_headers
from commands.check_samples import FAILURES, raise_if_lost
from core.cli import CommandError, say, say_table
from core.db.statement import Problem, Statement
from core.db.statements import Statements

RELEASED = "HEAD"  # what is compared with, where nothing else is said
FOLDERS = ("migrations", "reports", "sql")  # of a release
SHOWN = 3  # samples of a file that differ
VERDICTS = ("all the same.", "look at what differs.", "the same, as far as samples see rows.")  # by exit status
CANNOT: tuple[type[Exception], ...] = (Problem, *FAILURES)


@contextlib.contextmanager
def released(root: pathlib.Path, given: str, tables: AbstractSet[str] | None) -> Iterator[Statements]:
    """Give the statements of a release: of a folder, or of a revision that git has of `root`. Raises CommandError."""
    with release(root, given, "compare") as place:
        files = place / "sql" if (place / "sql").is_dir() else place
        if not any((root / "sql" / path.relative_to(files)).exists() for path in files.glob("*/*.sql")):
            raise CommandError(f"{given} has none of the files of sql/. Name the folder of a release, or its sql/.")
        yield Statements(files, tables=tables)


@contextlib.contextmanager
def release(root: pathlib.Path, given: str, option: str) -> Iterator[pathlib.Path]:
    """Give the folder of a release: the one that is named, or one with the FOLDERS that git has of a revision.

    `option`: the one that a sentence names. Raises CommandError.
    """
    if pathlib.Path(given).is_dir():
        yield pathlib.Path(given)
        return
    folder = f"Or name a folder that has the released files: python3 server.py check --{option} DIR"
    with tempfile.TemporaryDirectory(prefix="bodega-released-") as made:
        try:
            done = subprocess.run(
                ["git", "archive", "--format=tar", "--end-of-options", given, "."],
                cwd=root, capture_output=True, check=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise CommandError(f"There is no git here, which knows what was released. {folder}") from None
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().split("\n")[-1]
            raise CommandError(f"git does not give the files of {given}: {said}. {folder}") from None
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            for member in filter(tarfile.TarInfo.isfile, archive):
                if pathlib.PurePath(member.name).parts[0] not in FOLDERS:
                    continue
                path = pathlib.Path(made, member.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(member).read())  # type: ignore[union-attr] # it is a file
        yield pathlib.Path(made)


def report(connection: Any, old: Statements, edited: list[Statement], revision: str) -> int:
    """Compare, and print what differs; return the exit status: 1 if anything does, 2 if a file's samples see no row,
    or what it was cannot run.

    `edited`: the statements that are sound. `revision`: what `old` is called.
    """
    before = {statement.name: statement for statement in old}
    status, changed = 0, 0
    with contextlib.closing(connection.cursor()) as cursor:
        comparison = Comparison(cursor, old)
        for statement in edited:
            if statement.name not in before:
                wrong = [str(problem) for problem in old.problems if f"/{statement.name}.sql:" in str(problem)]
                why = f"is wrong ({wrong[0]})" if wrong else "is not there"
                say(f"{statement.path}: not compared with {revision}, where it {why}")
                status = max(status, 2 if wrong else 0, key=(0, 2, 1).index)
                continue
            if _same(before[statement.name], statement):
                continue
            changed += 1
            status = max(status, _report(comparison, before[statement.name], statement, revision), key=(0, 2, 1).index)
    say(f"{changed} changed files compared with {revision}: {VERDICTS[status]}")
    return status


def _same(released: Statement, edited: Statement) -> bool:
    return released.text == edited.text and not of_headers(released, edited)


def _report(comparison: Comparison, released: Statement, edited: Statement, revision: str) -> int:
    promised = of_headers(released, edited)
    try:
        seen = comparison.of(released, edited)
    except CANNOT as error:
        raise_if_lost(error)
        say(f"{edited.path} cannot be compared: {error.args[-1]}")
        return 1
    if promised:
        seen.different.insert(0, ("", promised))
    told = f"{seen.samples} samples, {seen.rows} rows; {_costs(seen)}"
    if seen.different:
        say(f"{edited.path} differs from {revision} ({told}):")
        for text, lines in seen.different[:SHOWN]:
            if text:
                say(f"  with {text}:")
            say_table([["   ", revision, "edited"], *([f"    {what}", one, other] for what, one, other in lines)])
        if len(seen.different) > SHOWN:
            say(f"  and with {len(seen.different) - SHOWN} more samples.")
        return 1
    if len(seen.blind) == seen.samples:
        say(f"{edited.path}: no sample sees a row here, and so nothing is proven. Give it a sample that does.")
        return 2
    say(f"{edited.path}: the same ({told})")
    if seen.blind:
        say(f"  These samples see no row here, and prove nothing: {'; '.join(seen.blind)}")
    return 0


def _costs(seen: Seen) -> str:
    times = " → ".join(milliseconds(outcome.seconds) for outcome in (seen.released, seen.edited))
    return f"rows read {seen.released.reads} → {seen.edited.reads}, time {times}"
