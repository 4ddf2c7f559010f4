"""SQL files that are written from templates: what several files have in common stands once, and none can lag behind.

What runs is what one reads: the written files are plain SQL, committed like all others. A template is a text beside
them, `sql/products/list.template`. A line that begins with ## begins a section; what stands before the first explains.

    ## shown                                      a block: lines that others of the same folder use. {{shown}} is
    p.id, p.name, p.price                         replaced by them; where it begins a line, all get its indentation

    ## products/list_{{file}}.sql                 a file of sql/. With a table it is one for each row, and the names
    | file   | column     | DESC |                in the head are placeholders. An empty cell takes the space before
    | newest | created_at | DESC |                it along, or the whole line where nothing else stands there. A block
    | price  | price      |      |                with a table is its lines once for each row
    -- …
    SELECT
        {{shown}}
    FROM products AS p
    ORDER BY p.{{column}} {{DESC}}, p.id {{DESC}}
    LIMIT %(limit)s

That is all there is: no condition, no expression. `check` compares the files with their templates and names file, line
and the template's line; `check --write-templates` writes them, and shows what it changes. Each written file says in a
`-- note:` where it comes from. The shop itself knows nothing of this.

What it buys: another column in all lists of products is two files to edit, and was twelve; 26 files come from four
templates. A view would leave the names of the columns in each file, and takes longer: products/get by half, a list by a
fifth (MariaDB 10.11, 20,000 products, medians of 25 runs of 300 in turn).
"""

import dataclasses
import difflib
import pathlib
import re
from collections.abc import Callable, Iterator

from core.db.statement import Problem

SECTION = re.compile(r"## +(\S+)")
GAP = re.compile(r" ?\{\{[^{}]+\}\}")
FIRST = re.compile(r"( *)\{\{([^{}]+)\}\}(.*)")
NOTE = "-- note: written from sql/"
COMMAND = "python3 server.py check --write-templates"
HOW = f"edit that, then {COMMAND}"


@dataclasses.dataclass(frozen=True)
class Line:
    """A line, and where in a template it comes from."""

    text: str
    template: str  # sql/products/list.template
    number: int


@dataclasses.dataclass(frozen=True)
class Section:
    """A block or a file: `rows` are the values of its placeholders, one empty one where it has no table."""

    title: Line
    rows: list[dict[str, str]]
    lines: list[Line]


class Templates:
    """The templates of a folder such as sql/, and what they write. `problems`: what is wrong with the templates."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.problems: list[Problem] = []
        self.files: dict[str, list[Line]] = {}  # products/get.sql → its lines
        self._blocks: dict[tuple[str, str], Section] = {}  # (the template's folder, its name)
        sections = []
        for path in sorted(folder.glob("*/*.template")):
            sections += self._sections(path)
        for section in sections:
            if section.title.text.endswith(".sql"):
                continue
            if _block(section.title, section.title.text) in self._blocks:
                self._refuse(section.title, f"block {section.title.text} is there twice in this folder")
            self._blocks[_block(section.title, section.title.text)] = section
        self._used: set[tuple[str, str]] = set()
        for section in sections:
            if section.title.text.endswith(".sql"):
                self._fill(section)
        for key in self._blocks.keys() - self._used if not self.problems else ():
            self._refuse(self._blocks[key].title, f"block {key[1]} is used nowhere")

    def stale(self) -> list[Problem]:
        """Return what is wrong with the templates; or a Problem for each file that is not what its template writes."""
        if self.problems:
            return self.problems
        unlike = [self._unlike(name, lines, self._read(name)) for name, lines in self.files.items()]
        return [*filter(None, unlike), *self._left_over()]

    def write(self, say: Callable[[str], None]) -> None:
        """Write the files that are not fresh, and show what changes in each, as `diff -U0` does.

        Nothing is written where a template is wrong.
        """
        for name, lines in self.files.items() if not self.problems else ():
            written, there = [line.text for line in lines], self._read(name) or []
            if written != there:
                path = self.folder / name
                path.parent.mkdir(exist_ok=True)
                path.write_text("\n".join(written) + "\n", encoding="utf-8")
                shown = self._shown(name)
                for line in difflib.unified_diff(there, written, shown, shown, n=0, lineterm=""):
                    say(line)

    def _unlike(self, name: str, lines: list[Line], there: list[str] | None) -> Problem | None:
        """Return the Problem of a file with these lines, None where it is missing, whose template writes others."""
        if there is None:
            what = f"is not there, and {lines[0].template}:{lines[0].number} writes it: {COMMAND}"
            return Problem(self._shown(name), 1, what)
        written = [line.text for line in lines]
        if written == there:
            return None
        at = next((i for i, (one, other) in enumerate(zip(written, there, strict=False)) if one != other), -1)
        line = lines[at]  # -1: one of them goes on
        what = f"is not what {line.template}:{line.number} writes. Bring the change into the template, or drop it"
        return Problem(self._shown(name), at + 1 or len(there), f"{what}; then: {COMMAND}")

    def _left_over(self) -> list[Problem]:
        """Return a Problem for each file that says it is written from a template, and is not."""
        found = []
        for path in sorted(self.folder.glob("*/*.sql")):
            name = path.relative_to(self.folder).as_posix()
            lines = self._read(name) or []
            note = next((i for i, line in enumerate(lines) if line.startswith(NOTE)), None)
            if note is not None and name not in self.files:
                what = "no template writes this file (any more): remove the note, or the file"
                found.append(Problem(self._shown(name), note + 1, what))
        return found

    def _sections(self, path: pathlib.Path) -> list[Section]:
        shown = self._shown(path.relative_to(self.folder).as_posix())
        found: list[Section] = []
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except UnicodeDecodeError as error:
            self._refuse(Line("", shown, 1), f"cannot be read: {error}")
            return []
        for number, text in enumerate(lines, 1):
            if title := SECTION.fullmatch(text):
                found.append(Section(Line(title[1], shown, number), [], []))
            elif found:
                found[-1].lines.append(Line(text, shown, number))
        return [self._with_table(section) for section in found]

    def _with_table(self, section: Section) -> Section:
        lines = list(section.lines)
        while lines and not lines[-1].text:
            lines.pop()
        table = []
        while lines and lines[0].text.startswith("|"):
            table.append(lines.pop(0))
        cells = [[cell.strip() for cell in line.text.strip()[1:].removesuffix("|").split("|")] for line in table]
        for line, row in zip(table, cells, strict=True):
            if len(row) != len(cells[0]):
                self._refuse(line, f"the table's head has {len(cells[0])} cells, and this row {len(row)}")
        rows = [dict(zip(cells[0], row, strict=False)) for row in cells[1:]]
        return Section(section.title, rows or [{}], lines)

    def _fill(self, section: Section) -> None:
        """Note the file, or the files, that a section writes."""
        for row in section.rows:
            try:
                name = self._inline(section.title, row, ())
                lines = [line for one in section.lines for line in self._filled(one, row, ())]
            except Problem as problem:
                self.problems.append(problem)
                return
            if name in self.files or not lines:
                self._refuse(section.title, f"{name} is written twice" if lines else f"{name} would be empty")
            first_key = next((i for i, line in enumerate(lines) if line.text.startswith("-- used by:")), 0)
            note = f"{NOTE}{section.title.template.partition('/')[2]}: {HOW}"
            lines.insert(first_key, Line(note, section.title.template, section.title.number))
            self.files[name] = lines

    def _filled(self, line: Line, values: dict[str, str], inside: tuple[str, ...]) -> Iterator[Line]:
        """Yield what a line of a template becomes: one line, those of a block, or none."""
        if first := FIRST.fullmatch(line.text):
            indent, name, rest = first.groups()
            inner = list(self._value(line, name, values, inside))
            if not rest or len(inner) > 1:
                behind = self._inline(dataclasses.replace(line, text=rest), values, inside)
                ends = [""] * (len(inner) - 1) + [behind]
                for one, end in zip(inner, ends, strict=False):
                    yield dataclasses.replace(one, text=(indent + one.text + end).rstrip())
                return
        yield dataclasses.replace(line, text=self._inline(line, values, inside))

    def _inline(self, line: Line, values: dict[str, str], inside: tuple[str, ...]) -> str:
        def fill(gap: re.Match[str]) -> str:
            name = gap[0].strip(" {}")
            lines = list(self._value(line, name, values, inside))
            if len(lines) > 1:
                raise _problem(line, f"{{{{{name}}}}} is several lines, and stands among other text")
            return gap[0][: gap[0].index("{")] + lines[0].text if lines else ""

        return GAP.sub(fill, line.text)

    def _value(self, line: Line, name: str, values: dict[str, str], inside: tuple[str, ...]) -> Iterator[Line]:
        """Yield the lines of a placeholder: a cell of the table's row, or a block."""
        cell, block = f"cell {name}", self._blocks.get(_block(line, name))
        if name in values and cell not in inside:  # a cell may hold the block of its name
            if values[name]:
                yield from self._filled(dataclasses.replace(line, text=values[name]), values, (*inside, cell))
        elif name in inside:
            raise _problem(line, f"{{{{{name}}}}} is used inside itself")
        elif block:
            self._used.add(_block(line, name))
            for row in block.rows:
                for one in block.lines:
                    yield from self._filled(one, {**values, **row}, (*inside, name))
        else:
            raise _problem(line, f"{{{{{name}}}}} is no block, and no cell of the section's table")

    def _read(self, name: str) -> list[str] | None:
        """Return the lines of a file, or None where it is not there."""
        path = self.folder / name
        if not path.exists():
            return None
        return path.read_text(encoding="utf-8", errors="replace").removesuffix("\n").split("\n")

    def _shown(self, name: str) -> str:
        return f"{self.folder.name}/{name}"

    def _refuse(self, line: Line, what: str) -> None:
        self.problems.append(_problem(line, what))


def _block(line: Line, name: str) -> tuple[str, str]:
    """Return what a block is known by: those of a folder know each other."""
    return line.template.rpartition("/")[0], name


def _problem(line: Line, what: str) -> Problem:
    return Problem(line.template, line.number, what)
