"""The rules of the house: who may know whom, what every file says about itself, and that nothing is left over."""

import ast
import collections
import functools
import pathlib
import re
import sys

import pytest
from bottle import Bottle

import server
from core.app import app
from core.db import migrations
from core.db.statements import Statements
from core.identity import auth
from core.setup.system import ROOT

WINGS = ("core", "resources", "commands")
PROGRAM = sorted([ROOT / "server.py", *(path for wing in WINGS for path in (ROOT / wing).rglob("*.py"))])
LONGEST = 345  # lines
STATEMENTS = {statement.name: statement for statement in Statements(ROOT / "sql")}
RUN = {"one", "many", "run", "add"}  # the methods of `db`
ONLY = {  # package → the page (or two) that may know it
    "pymysql": "core.db.columns core.db.drivers core.db.pymysql_rows",
    "MySQLdb": "core.db.drivers",
    "dbutils": "core.db.database",
    "cerberus": "core.contract.validation",
    "bcrypt": "core.identity.passwords",
    "dotenv": "core.config",
}
EARLY = ("core.cli", "core.setup.bootstrap", "core.setup.system")  # run before any package is there


def name_of(path):
    """Return a file's name as a module: core/app.py is core.app."""
    return path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")


@functools.cache
def tree_of(path):
    """Return a file as a syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


MODULES = {name_of(path): path for path in PROGRAM}


@functools.cache
def imports_of(module):
    """Return the full names that a module imports, inside functions too: modules where they are ours."""
    found = set()
    for node in ast.walk(tree_of(MODULES[module])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & set(MODULES)) or {node.module}
    return found


def strings_of(path):
    """Return every literal text of a file."""
    return {n.value for n in ast.walk(tree_of(path)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


# Who may know whom


def room(module):
    """Return the part of the house that a module stands in: core.db, commands; `core` for core's own pages."""
    parts = module.split(".")
    if parts[0] == "core" and len(parts) > 1 and (ROOT / "core" / parts[1]).is_dir():
        return ".".join(parts[:2])
    return parts[0]


PAGES = {"core"}
SETUP = PAGES | {"core.setup"}
BELOW = {  # room → the rooms that it may know, beside itself: arrows run down only
    "core": set(),
    "core.setup": PAGES,
    "core.db": SETUP,
    "core.identity": SETUP,
    "core.contract": SETUP | {"core.db", "core.identity"},
    "core.serving": SETUP | {"core.db", "core.identity", "core.contract"},
    "resources": SETUP | {"core.db", "core.identity", "core.contract"},
    "commands": SETUP | {"core.db", "core.identity", "core.contract", "core.serving"},
    "server": {
        "resources",
        "commands",
        "core",
        *(f"core.{name}" for name in ("db", "identity", "contract", "serving", "setup")),
    },
}


@pytest.mark.parametrize("module", MODULES)
def test_arrows_run_down_only(module):
    known = {
        room(name) for name in imports_of(module) if name.split(".")[0] in ("core", "resources", "commands", "server")
    }

    assert known - {room(module)} <= BELOW[room(module)]


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("resources.")])
def test_a_resource_knows_no_other_resource(module):
    others = {name.split(".")[1] for name in imports_of(module) if name.startswith("resources.")}

    assert {name.split("_")[0] for name in others} <= {module.split(".")[1].split("_")[0]}


@pytest.mark.parametrize("module", ["core.errors", "core.cli"])
def test_the_lowest_pages_know_nobody(module):
    assert "core" not in {name.split(".")[0] for name in imports_of(module)}


@pytest.mark.parametrize("package", ONLY)
def test_a_package_is_known_to_its_one_page(package):
    knowing = {module for module in MODULES if package in {name.split(".")[0] for name in imports_of(module)}}

    assert knowing == set(ONLY[package].split())


@pytest.mark.parametrize("module", EARLY)
def test_what_runs_before_the_packages_are_there_needs_none(module):
    assert {name.split(".")[0] for name in imports_of(module)} <= {"core", *sys.stdlib_module_names}


def test_nobody_imports_in_a_circle():
    done, doing = set(), []

    def visit(module):
        assert module not in doing, " → ".join([*doing, module])
        if module in done:
            return
        doing.append(module)
        for name in sorted(imports_of(module) & set(MODULES) - {module}):
            visit(name)
        done.add(doing.pop())

    for module in MODULES:
        visit(module)

    assert done == set(MODULES)


def test_every_resource_is_wired():
    """A file of resources/ has routes, and server.py names it; or it helps the one whose name it begins with."""
    wired = {name.split(".")[1] for name in imports_of("server") if name.startswith("resources.")}
    files = {path.stem for path in (ROOT / "resources").glob("[a-z]*.py")}

    assert wired <= files
    assert {name for name in files - wired if name.rpartition("_")[0] not in wired} == set()


def test_a_file_of_commands_is_one_command():
    """Or it helps the one whose name it begins with."""
    files = {path.stem for path in (ROOT / "commands").glob("[a-z]*.py")}

    assert set(server.COMMANDS) <= files
    assert {name for name in files - set(server.COMMANDS) if name.partition("_")[0] not in server.COMMANDS} == set()
    for name, module in server.COMMANDS.items():
        assert module.__name__ == f"commands.{name}"
        assert all(callable(getattr(module, part)) for part in ("arguments", "run")) and module.HELP


def test_every_folder_of_core_says_in_a_sentence_what_it_is_for():
    for folder in (path for path in (ROOT / "core").iterdir() if path.is_dir() and path.name != "__pycache__"):
        said = ast.get_docstring(tree_of(folder / "__init__.py"))
        assert said and said.endswith(".") and len(tree_of(folder / "__init__.py").body) == 1, folder


def test_tests_stand_in_the_folders_of_what_they_test():
    """tests/core/db/test_statements.py tests core/db/statements.py; a longer name is about a part of it."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder, name = path.relative_to(ROOT / "tests").parent, path.stem.removeprefix("test_")
        if folder.parts and folder.parts not in (("faults",), ("cluster",)):  # these are about all of it
            tested = {page.stem for page in (ROOT / folder).glob("[a-z]*") if page.suffix in ("", ".py", ".js")}
            assert any(name == one or name.startswith(f"{one}_") for one in tested), path


def words_of(path):
    """Yield every word of the literal texts of a file that are no docstrings."""
    tree = tree_of(path)
    told = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in told:
            yield from re.findall(r"\w+", node.value)


OWN_TABLES = {"schema_migrations"}  # of core itself


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("core")])
def test_core_names_no_table_of_the_shop_and_no_statement_of_one(module):
    tables = set().union(*(migrations.tables([migration]) for migration in migrations.files()))
    statements = {text for text in strings_of(MODULES[module]) if text in STATEMENTS and not text.startswith("schema/")}

    assert set(words_of(MODULES[module])) & (tables - OWN_TABLES) == set()
    assert statements == set()


# What every page says


def undocumented(node, prefix=""):
    """Yield the names of what is public and has no docstring, in a module or a class."""
    for inner in node.body:
        if not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or inner.name.startswith("_"):
            continue
        if not ast.get_docstring(inner):
            yield prefix + inner.name
        if isinstance(inner, ast.ClassDef):
            yield from undocumented(inner, f"{prefix}{inner.name}.")


@pytest.mark.parametrize("module", MODULES)
def test_every_page_and_everything_public_on_it_has_a_docstring(module):
    tree = tree_of(MODULES[module])

    assert ast.get_docstring(tree), module
    assert list(undocumented(tree)) == []


@pytest.mark.parametrize("path", PROGRAM, ids=name_of)
def test_a_page_is_short_enough_to_be_read(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", PROGRAM, ids=name_of)
def test_no_failure_is_swallowed_in_silence(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
            assert not all(isinstance(inner, ast.Pass) for inner in node.body), f"line {node.lineno}: except … pass"


# Routes


def test_every_route_says_who_may_use_it():
    auth.require_declared(app)

    assert app.routes


def test_a_route_that_does_not_say_so_stops_the_start():
    bare = Bottle()
    bare.get("/api/open", auth=auth.PUBLIC, callback=lambda: None)
    auth.require_declared(bare)
    bare.delete("/api/secrets", callback=lambda: None)

    with pytest.raises(LookupError, match="DELETE /api/secrets declares no auth"):
        auth.require_declared(bare)


def test_a_route_for_somebody_who_does_not_exist_stops_the_start():
    bare = Bottle()
    bare.get("/api/secrets", auth="everybody", callback=lambda: None)

    with pytest.raises(LookupError, match="GET /api/secrets"):
        auth.require_declared(bare)


@pytest.mark.parametrize(  # not the routes themselves: pytest would print one that fails, and Bottle's repr never ends
    ("rule", "about", "hidden"),
    [(route.rule, route.callback.__doc__, route.config.get("hidden")) for route in app.routes],
)
def test_every_route_has_a_summary_and_stands_under_api(rule, about, hidden):
    assert about and about.split("\n")[0].endswith(".")
    assert rule.startswith("/api/") or hidden  # pages


# SQL files


def texts_of(path):
    """Yield every text that a file may make: its literals, and f-strings with one gap filled by each of them."""
    literals = strings_of(path)
    yield from literals
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            if parts.count(None) == 1:
                yield from ("".join(part if part is not None else literal for part in parts) for literal in literals)


def statements_run(path):
    """Yield (line, name) for every name that is given to db.one, many, run or add as a literal."""
    for node in ast.walk(tree_of(path)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in RUN
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "db"
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        ):
            yield node.lineno, node.args[0].value


@pytest.mark.parametrize("path", PROGRAM, ids=name_of)
def test_every_statement_that_is_run_exists(path):
    folders = {name.split("/")[0] for name in STATEMENTS}

    named = {text for text in strings_of(path) if re.fullmatch(r"[a-z_]+/[a-z_]*[a-z]", text)}
    named = {text for text in named if text.split("/")[0] in folders}
    run = {name for _, name in statements_run(path)}

    assert named | run <= set(STATEMENTS)


def test_no_statement_is_left_over():
    used = {text for path in PROGRAM for text in texts_of(path)}

    assert sorted(set(STATEMENTS) - used) == []


def test_every_file_of_sql_stands_in_a_folder_and_is_a_statement():
    """Or it is a template of some, or the plans of all."""
    files = {path.relative_to(ROOT / "sql") for path in (ROOT / "sql").rglob("*.*")} - {pathlib.Path("plans.json")}
    templates = {path for path in files if path.suffix == ".template" and len(path.parts) == 2}

    assert {path.with_suffix("").as_posix() for path in files - templates} == set(STATEMENTS)


def used_by(name):
    """Return what the header of a statement says after "used by:"."""
    header = (ROOT / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    return " ".join(re.search(r"^-- used by: *(.*(?:\n--   .*)*)", header, re.M)[1].split())


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_is_used_by_a_route_or_a_command_that_exists(name):
    routes = {(route.method, re.sub(r"<[^>]*>", "{}", route.rule)) for route in app.routes}
    text = used_by(name)

    asked = re.findall(r"\b((?:GET|POST|PUT|PATCH|DELETE)(?:(?:, | and )(?:GET|POST|PUT|PATCH|DELETE))*) (/\S+)", text)
    commands = re.findall(r"server\.py ([a-z]+)", text)

    for methods, path in asked:
        plain = re.sub(r"\{[^}]*\}", "{}", path.rstrip(",;.").split("?")[0])
        for method in re.split(r", | and ", methods):
            assert (method, plain) in routes, f"{method} {path}"
    assert set(commands) <= set(server.COMMANDS)
    assert asked or commands or "every route" in text.lower() or "auth=" in text, text


def test_no_statement_is_put_together_in_python():
    keywords = re.compile(r"\b(SELECT .* FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b", re.S)
    allowed = {  # their own table, which has to be there before sql/ can be asked; and what is known of any table
        "core.db.migrations",
        "commands.backup_tables",
        "commands.check_against_rules",
        "commands.check_schema",
        "commands.migrate_baseline",
        "commands.migrate_planner",
        "commands.migrate_rows",
        "core.db.migrator",
        "commands.migrate_scratch",
        "commands.optimize_space",
    }

    makers = {module for module, path in MODULES.items() if any(map(keywords.search, strings_of(path)))}

    assert makers <= allowed


MADE = {  # module → how many texts it gives to the database that it did not find written whole, and what they are
    "core.db.session": 2,  # a file's, after BEGIN or together with others: what serves requests has no other way
    "core.db.pymysql_rows": 1,  # the same ones
    "core.db.host_lock": 1,  # one of two constants
    "core.db.rights": 1,  # a GRANT: names, quoted
    "core.db.migrator": 2,  # a migration's; one of two constants
    "commands.backup_tables": 5,  # names of tables and columns; a table's own text
    "commands.check_against": 1,  # a migration's
    "commands.check_comparison": 1,  # the method, to files' texts
    "commands.check_plans": 1,  # a file's after EXPLAIN
    "commands.check_schema": 2,  # here and below: names of tables, as the database has told them
    "commands.check_touched": 4,
    "commands.migrate_baseline": 3,
    "commands.migrate_planner": 2,
    "commands.migrate_rows": 2,
    "commands.migrate_scratch": 6,
    "commands.optimize_space": 1,
    "commands.sql": 1,  # KILL and a number
    "commands.sql_analyze": 2,  # a file's after ANALYZE; names of its own
}
DRIVERS = ("execute", "executemany", "query", "callproc")  # the methods of cursors and connections that take a text


def is_whole(text):
    """Whether an expression is SQL as somebody wrote it: literals, a constant, the text of a file."""
    if isinstance(text, ast.IfExp):
        return is_whole(text.body) and is_whole(text.orelse)
    if isinstance(text, ast.BinOp):  # a long one, over several lines
        return isinstance(text.op, ast.Add) and is_whole(text.left) and is_whole(text.right)
    if isinstance(text, ast.Name):
        return text.id.isupper()
    if isinstance(text, ast.Attribute):
        return text.attr == "text"
    return isinstance(text, ast.Constant)


def texts_made(tree):
    """Return the expressions that a file gives to the database and that are not whole; what hands on its method too."""
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in DRIVERS:
            call = called.get(id(node))
            if call and call.args and not is_whole(call.args[0]):
                yield ast.unparse(call.args[0])
            elif not call and node.attr != "query":  # also a request's, a report's
                yield ast.unparse(node)


@pytest.mark.parametrize("module", MODULES)
def test_no_text_of_sql_is_made_in_python(module):
    made = list(texts_made(tree_of(MODULES[module])))

    assert len(made) == MADE.get(module, 0), made


@pytest.mark.parametrize(
    "line",
    [
        'cursor.execute(f"SELECT name FROM products ORDER BY {sort}")',
        'cursor.execute("SELECT name FROM products WHERE id = %s" % id)',
        'cursor.execute("SELECT name FROM products WHERE id = " + id)',
        'cursor.execute("SELECT name FROM {}".format(table))',
        'cursor.execute(" AND ".join(parts), values)',
        "connection.query(text)",
        "run = cursor.execute",
        "cursor.executemany(CHEAP if cheap else text, rows)",
    ],
)
def test_the_rule_of_made_texts_finds_each_way_to_make_one(line):
    assert list(texts_made(ast.parse(line)))


# Migrations


@pytest.mark.parametrize("migration", migrations.files(), ids=lambda migration: migration.name)
def test_every_table_is_utf8mb4_innodb_and_has_a_way_back(migration):
    made = re.findall(r"^CREATE TABLE (\w+) \(\n.*?^\)([^;]*);", migration.up, re.M | re.S)

    assert len(made) == len(re.findall(r"\bCREATE TABLE\b", migration.up))
    for table, options in made:
        assert "CHARACTER SET utf8mb4" in options and "ENGINE = InnoDB" in options, table
        assert f"DROP TABLE {table};" in migration.down
    assert migration.down.strip()


def test_migrations_are_numbered_without_gaps():
    assert [migration.version for migration in migrations.files()] == list(range(1, len(migrations.files()) + 1))


# The project as a whole

BINARY = {".png", ".jpg", ".ico", ".gz", ".woff2"}
VENDORED = ROOT / "resources" / "swagger-ui"  # as its makers wrote it; test_docs.py has each file's hash
HIDDEN = {
    ".ci",
    ".editorconfig",
    ".github",
    ".gitignore",
    ".env.example",
}  # what else begins with a dot is made, not written
GENERATED = {"__pycache__", "node_modules", "dist", "built", "openapi.json", "openapi.d.ts", "api.ts"}


def pages():
    """Yield every text file of the project."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        made = any(part in GENERATED or (part.startswith(".") and part not in HIDDEN) for part in parts)
        if path.is_file() and not made and path.suffix not in BINARY and VENDORED not in path.parents:
            yield path


def test_no_page_names_a_place_of_one_machine_or_a_host_of_packages():
    places = (
        "/" + "work/",
        "/root" + "/",
        "/dev/" + "bin",
        "pypi" + ".org",
        "python" + "hosted.org",
        "--index" + "-url",
    )

    found = collections.defaultdict(list)
    for path in pages():
        text = path.read_text(encoding="utf-8")
        found[path.relative_to(ROOT).as_posix()] += [place for place in places if place in text]

    assert {path: places for path, places in found.items() if places} == {}


def test_every_page_is_plain_utf_8_with_unix_line_ends_and_one_at_its_end():
    for path in pages():
        data = path.read_bytes()
        data.decode("utf-8")
        assert b"\r" not in data and b"\t" not in data and not data.startswith(b"\xef\xbb\xbf"), path
        assert not data or (data.endswith(b"\n") and not data.endswith(b"\n\n")), path


def test_every_resource_and_the_folders_of_sql_have_tests():
    tests = {path.stem for path in (ROOT / "tests" / "resources").glob("test_*.py")}

    assert {f"test_{path.stem.partition('_')[0]}" for path in (ROOT / "resources").glob("[a-z]*.py")} <= tests


def test_the_names_of_tests_are_sentences():
    for path in pathlib.Path(__file__).parent.rglob("test_*.py"):
        for node in tree_of(path).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                assert node.name.count("_") >= 3, f"{path.name}: {node.name}"


def test_no_pattern_is_possessive():
    # Python 3.11.2, which is Debian 12's, takes `(…)*+` for something else: there every statement was refused.
    possessive = re.compile(r"\)[*+?]\+|\(\?>")

    found = [page.name for page in PROGRAM if possessive.search(page.read_text())]

    assert not found


EARLY_PAGES = {"core.cli", "core.setup.bootstrap", "core.setup.system"}  # for any Python 3


def unannotated(node):
    """Yield the names of public functions and methods that lack a type."""
    for inner in node.body:
        if isinstance(inner, ast.ClassDef) and not inner.name.startswith("_"):
            yield from unannotated(inner)
        if isinstance(inner, ast.FunctionDef) and (not inner.name.startswith("_") or inner.name == "__init__"):
            given = [*inner.args.posonlyargs, *inner.args.args, *inner.args.kwonlyargs]
            untyped = [
                argument.arg for argument in given if not argument.annotation and argument.arg not in ("self", "cls")
            ]
            if untyped or not inner.returns:
                yield inner.name


@pytest.mark.parametrize("module", [module for module in MODULES if module not in EARLY_PAGES])
def test_everything_public_has_types(module):
    assert list(unannotated(tree_of(MODULES[module]))) == []
