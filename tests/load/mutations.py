"""Do the tests notice a wrong edit of a SQL file? Draws random ones, and runs the fast tests on a copy with each.

    python3 tests/load/mutations.py --seed 1 --count 20

A mutation is one small change of a statement that a server takes: a comparison, a conjunct, the direction or the
tie-breaker of an order, a sign, a column or value in another's place, a lock, a join. The copy has no templates:
`check` would notice any edit of a file that one writes. The tests that edit these files themselves are left out.
"""

import argparse
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COPIED = ("commands", "core", "deploy", "docs", "examples", "mails", "migrations", "resources", "sql", "tests")
COPIED += (
    "checks",
    "reports",
    "storefront",
    "server.py",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
)
COPIED += ("requirements.txt", ".env.example", ".gitignore")
LONGEST = 900  # seconds for the tests of one
CONJUNCT = r"(?m)^ *AND ((?:[^()\n]|\((?:[^()\n]|\([^()\n]*\))*\))+)$"
RULES: dict[str, tuple[str, dict[str, str] | str]] = {  # kind → pattern, and what its first group becomes
    "conjunct": (CONJUNCT, "1 = 1"),
    "comparison": (r"(?<![<>=!])([<>]=?)(?![=>])", {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}),
    "direction": (r"\b(DESC)\b", ""),
    "tie-breaker": (r"ORDER BY [^\n]*?(, (?:\w+\.)?id(?: DESC)?)\s*$", ""),
    "sign": (r" ([+-]) ", {"+": "-", "-": "+"}),
    "lock": (r"\s(FOR UPDATE|LOCK IN SHARE MODE|FOR SHARE)\b", ""),
    "join": (r"\b(LEFT JOIN)\b", "JOIN"),
}
COLUMNS = re.compile(r"(?<=[ (])((?:\w+\.)?([a-z]\w*)), ((?:\w+\.)?[a-z]\w*)(?=[\n,) ])")
VALUES = re.compile(r"(%\(\w+\)s), (%\(\w+\)s)")
Mutation = tuple[str, str, int, int, str]  # file, kind, begin, end, new text


def mutations(folder: pathlib.Path) -> Iterator[Mutation]:
    """Yield all that there are for the statements of a folder."""
    for path in sorted(folder.glob("sql/*/*.sql")):
        text = path.read_text()
        begin = re.match(r"(?:--.*\n)*", text).end()
        name = str(path.relative_to(folder))
        for kind, (pattern, becomes) in RULES.items():
            for found in re.compile(pattern, re.M).finditer(text, begin):
                new = becomes if isinstance(becomes, str) else becomes[found[1]]
                if new != found[1]:
                    yield name, kind, found.start(1), found.end(1), new
        for found in VALUES.finditer(text, begin):
            yield name, "value", found.start(), found.end(), f"{found[2]}, {found[1]}"
        for found in COLUMNS.finditer(text, begin):  # in a SELECT, two columns that only change places change nothing
            swapped = (
                f"{found[3]}, {found[1]}"
                if text.startswith("INSERT", begin)
                else f"{found[3]} AS {found[2]}, {found[3]}"
            )
            yield name, "column", found.start(), found.end(), swapped


def drawn(found: list[Mutation], count: int, seed: int) -> list[Mutation]:
    """Return so many of them, of many kinds and files: a kind is drawn, then a file, then a place."""
    rng = random.Random(seed)
    chosen: list[Mutation] = []
    while len(chosen) < count:
        kind = rng.choice(sorted({mutation[1] for mutation in found}))
        name = rng.choice(sorted({mutation[0] for mutation in found if mutation[1] == kind}))
        mutation = rng.choice([mutation for mutation in found if mutation[:2] == (name, kind)])
        if mutation not in chosen:
            chosen.append(mutation)
    return chosen


def noticed(folder: pathlib.Path, name: str) -> str:
    """Run the fast tests of a copy, those of the file's resource first; return the first that fails, or nothing."""
    resource = name.split("/")[1]
    first = sorted(str(path.relative_to(folder)) for path in folder.glob(f"tests/**/test_{resource}*.py"))
    line = [sys.executable, "-m", "pytest", "-x", "-p", "no:cov", "-m", "not slow", "--tb=no", "-rfE", "-W", "ignore"]
    line += [f"--ignore=tests/commands/test_check_{page}.py" for page in ("templates", "break_table")]
    line += ["tests/commands/test_check_results.py", *first, "tests/resources", "tests/core/db", "tests"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=LONGEST, check=False)
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
    return failed[1] if failed else "" if done.returncode == 0 else done.stdout[-300:]


def collected(folder: pathlib.Path) -> str:
    """Let pytest only find the tests of a copy that is right; return what it says if it cannot."""
    line = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cov", "tests"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout[-2000:] if done.returncode else ""


def main() -> int:
    """Print a line for each, and how many were noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--only", type=int, nargs="*", help="their numbers, from 1")
    options = parser.parse_args()
    caught = run = 0
    with tempfile.TemporaryDirectory() as copy:
        folder = pathlib.Path(copy)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
            elif source.exists():
                shutil.copy(source, folder / name)
        for path in folder.glob("sql/*/*.template"):
            path.unlink()
        for path in folder.glob("sql/*/*.sql"):
            path.write_text(re.sub(r"^-- note: written from sql/.*\n", "", path.read_text(), flags=re.M))
        if missing := collected(folder):
            sys.exit(f"The tests cannot run on the copy:\n{missing}")
        for number, (name, kind, begin, end, new) in enumerate(
            drawn(list(mutations(folder)), options.count, options.seed), 1
        ):
            if options.only and number not in options.only:
                continue
            path = folder / name
            text = path.read_text()
            began = time.monotonic()
            path.write_text(text[:begin] + new + text[end:])
            try:
                by = noticed(folder, name)
            finally:
                path.write_text(text)
            run += 1
            caught += bool(by)
            place = f"{name}:{text[:begin].count(chr(10)) + 1}"
            what = f"{kind}: {text[begin:end]!r} → {new!r} ({time.monotonic() - began:.0f} s)"
            print(f"{number:2} {'noticed' if by else 'NOT NOTICED'} {place} {what} {by}", flush=True)
    print(f"{caught} of {run} noticed (seed {options.seed}).")
    return 0 if caught >= run * 0.95 else 1


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main())
