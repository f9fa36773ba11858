"""What each law of the house looks for, in the text of one file.

Law: a breach is a line number with the words to look at; no breach is an empty list.
"""

import ast
import re
import sys
from collections.abc import Iterator

LONGEST = 300
SAYING_NOTHING = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc"}
"""Names that say nothing about what is inside, so that anything ends up there."""

LOOKING_ONLY = {"isinstance", "issubclass", "cast", "fields", "type"}
COPYING = {"replace", "copy", "deepcopy", "_replace", "__replace__"}
ASSERTING = {"raises", "warns", "fail", "deprecated_call", "run_state_machine_as_test"}

INDEXES = re.compile(
    r"\b(?:pypi|pythonhosted|npmjs|crates|proxy\.golang|sum\.golang|maven(?:\.apache)?"
    r"|deb\.debian|security\.debian|nodesource)\.(?:org|com|io)\b",
    re.IGNORECASE,
)
PLACES = re.compile(
    r"(?<![\w.~-])/(?:root|work|opt/wheels|tmp/(?:w|bash_jobs)|Users)(?:/|\b(?![\w-]))"
)


def authorizes(source: str) -> list[str]:
    """Where an Authorization comes into being, as far as the text shows it.

    By a call of the class under any name it was imported as, by handing the class to something that
    may call it, or as a changed copy of a value that is named or annotated as one.
    """
    tree = ast.parse(source)
    names = {"Authorization"} | {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == "Authorization" and alias.asname
    }
    values = {"authorization"} | {
        argument.arg
        for argument in ast.walk(tree)
        if isinstance(argument, ast.arg)
        and argument.annotation
        and names & set(re.findall(r"\w+", ast.unparse(argument.annotation)))
    }
    return [
        f"{call.lineno}: {ast.unparse(call)[:60]}"
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and _makes(call, names, values)
    ]


def _makes(call: ast.Call, names: set[str], values: set[str]) -> bool:
    called = {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(call.func)
        if isinstance(node, ast.Name | ast.Attribute)
    }
    last = _last_name(call.func)
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if called & names:
        return True
    if last not in LOOKING_ONLY and any(_last_name(value) in names for value in given):
        return True
    copied = [*call.args[:1], call.func.value if isinstance(call.func, ast.Attribute) else None]
    return last in COPYING and any(value and _last_name(value) in values for value in copied)


def asserts_nothing(source: str) -> list[str]:
    """Tests that no outcome could make fail.

    A test asserts by itself, through a function of the same file that does, or by calling what
    says so in its name: check_… or assert_….
    """
    functions = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    asserting: set[str] = set()
    while True:
        known = len(asserting)
        asserting |= {
            function.name
            for function in functions
            if any(_asserts(node, asserting) for node in ast.walk(function))
        }
        if len(asserting) == known:
            break
    return [
        f"{function.lineno}: {function.name}"
        for function in functions
        if function.name.startswith("test_") and function.name not in asserting
    ]


def _asserts(node: ast.AST, asserting: set[str]) -> bool:
    if isinstance(node, ast.Assert):
        return not isinstance(node.test, ast.Constant)
    if not isinstance(node, ast.Call):
        return False
    name = _last_name(node.func)
    return name in ASSERTING | asserting or name.startswith(("check_", "assert_"))


def has_no_opening(source: str) -> list[str]:
    """A module that does not say what it is about."""
    return [] if ast.get_docstring(ast.parse(source)) else ["1: no docstring"]


def has_no_law(source: str) -> list[str]:
    """A package whose opening gives neither its law nor, in a folder of plug-ins, its contract."""
    opening = ast.get_docstring(ast.parse(source)) or ""
    return [] if re.search(r"\bLaw\b|\bTo add one\b", opening) else ["1: neither law nor contract"]


def is_too_long(source: str) -> list[str]:
    """A module that nobody reads in one go."""
    lines = source.count("\n")
    return [f"{lines}: at most {LONGEST} lines"] if lines > LONGEST else []


def imports_foreigners(source: str, ours: set[str]) -> list[str]:
    """Imports of what a bare Python does not have."""
    return [
        f"{line}: {name}"
        for line, name in _imported(ast.parse(source))
        if name.partition(".")[0] not in sys.stdlib_module_names | ours
    ]


def _imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def tells_where(text: str) -> list[str]:
    """Names of package indexes, and of places on somebody's machine."""
    return [
        f"{number}: {found.group()}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern in (INDEXES, PLACES)
        if (found := pattern.search(line))
    ]


def locks_an_address(text: str) -> list[str]:
    """Lines of a lock file that say from where a package comes."""
    return [
        f"{number}: {line.strip()[:60]}"
        for number, line in enumerate(text.splitlines(), 1)
        if "://" in line and not re.fullmatch(r'\s*"url": "[^"]*",?', line)
    ]


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
