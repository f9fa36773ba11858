"""The laws of the house hold everywhere; and each law would notice if one did not."""

import ast
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.architecture import laws

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tokenward"
BOOTSTRAP = ROOT / "bootstrap"
BENCH = ROOT / "bench"
STARTS_ON_OLD_PYTHONS = [
    ROOT / "tokenward",
    BOOTSTRAP / "__init__.py",
    BOOTSTRAP / "newer_python.py",
]
PLUG_INS = {"grants", "logins", "presets", "profiles", "proofs", "records", "stores", "upstreams"}


@cache
def project():
    """Every file that is part of the project: what git keeps, or would."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def python(folder):
    return [path for path in project() if path.suffix == ".py" and path.is_relative_to(folder)]


def check_lawful(law, paths, *more):
    found = breaches(law, paths, *more)
    assert not found, "\n" + "\n".join(found)


def breaches(law, paths, *more):
    return [
        f"{path.relative_to(ROOT)}:{breach}"
        for path in paths
        for breach in law(path.read_text(encoding="utf-8", errors="replace"), *more)
    ]


# ── the laws ─────────────────────────────────────────────────────────────────────────────────────


def test_there_is_a_project_to_look_at():
    assert len(python(SOURCE)) > 10
    assert ROOT / "tokenward" in project()


def test_only_the_policy_authorizes():
    policy = SOURCE / "server" / "policy.py"
    assert breaches(laws.authorizes, [policy]), "the policy authorizes nobody"
    check_lawful(laws.authorizes, [path for path in python(SOURCE) if path != policy])


def test_no_module_is_too_long_to_be_read():
    check_lawful(laws.is_too_long, [*python(SOURCE), *python(BOOTSTRAP), *python(BENCH)])


def test_an_upstream_is_one_file_of_less_than_80_lines():
    """But for ``connection``, which is as long again for what happens in the browser before."""
    upstreams = SOURCE / "server" / "upstreams"
    long = [it.name for it in python(upstreams) if len(it.read_text().splitlines()) >= 80]
    assert sorted(long) == ["__init__.py", "connection.py"]


def test_every_module_says_what_it_is_about():
    tests = [path for path in python(ROOT / "tests") if path.read_text().strip()]
    paths = [*python(SOURCE), *python(BOOTSTRAP), *python(BENCH), *tests]
    check_lawful(laws.has_no_opening, paths)


def test_every_package_opens_with_its_law():
    code = [*python(SOURCE), *python(BENCH)]
    packages = [path for path in code if path.name == "__init__.py"]
    # A plug-in may be a folder of its own; its law is the contract above it.
    lawful = [path for path in packages if path.parent.parent.name not in PLUG_INS]
    check_lawful(laws.has_no_law, [path for path in lawful if path.parent != SOURCE])


def test_every_name_says_what_is_inside():
    named = [path for path in project() if {"src", "tests", "bootstrap", "bench"} & set(path.parts)]
    parts = {part for path in named for part in (path.stem, *path.relative_to(ROOT).parts[:-1])}
    assert {part for part in parts if part.strip("_") in laws.SAYING_NOTHING} == set()


def test_every_test_asserts_something():
    check_lawful(laws.asserts_nothing, python(ROOT / "tests"))


@pytest.mark.parametrize("path", STARTS_ON_OLD_PYTHONS, ids=lambda path: path.name)
def test_an_old_python_can_read_that_it_is_too_old(path):
    assert ast.parse(path.read_text(), feature_version=(3, 6))


def test_the_bootstrap_needs_nothing_but_python():
    paths = [ROOT / "tokenward", *python(BOOTSTRAP)]
    check_lawful(laws.imports_foreigners, paths, {"bootstrap"})


@pytest.mark.parametrize(
    ("package", "others"),
    [
        ("oauth", set()),
        ("jose", {"cryptography", "joserfc", "orjson"}),
        ("remote", {"httpx2", "httpcore2", "grpc", "websockets"}),
        ("client", {"httpx2"}),
        ("verifier", {"httpx2", "fastapi", "starlette"}),
    ],
)
def test_each_package_needs_no_more_than_its_law_says(package, others):
    check_lawful(laws.imports_foreigners, python(SOURCE / package), {"tokenward", *others})


def test_of_what_is_remote_only_what_carries_words_to_a_hub_needs_more_than_http():
    carriers = {"websocket.py": "websockets", "native.py": "grpc"}
    for path in python(SOURCE / "remote"):
        more = {carriers[path.name]} if path.parent.name == "hub" and path.name in carriers else ()
        check_lawful(laws.imports_foreigners, [path], {"tokenward", "httpx2", "httpcore2", *more})


def test_only_one_file_of_the_verifier_needs_a_framework():
    paths = [path for path in python(SOURCE / "verifier") if path.name != "fastapi.py"]
    check_lawful(laws.imports_foreigners, paths, {"tokenward", "httpx2"})


def test_a_start_loads_nothing_that_it_does_not_need():
    top = [
        alias.name
        for node in ast.parse((ROOT / "tokenward").read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert top == ["hashlib", "os", "sys"]


def test_the_project_names_no_package_index_and_no_place_on_a_machine():
    check_lawful(laws.tells_where, [path for path in project() if path != Path(__file__)])


def test_lock_files_say_what_and_never_from_where():
    locks = [path for path in project() if path.name.endswith((".lock", "-lock.json"))]
    assert len(locks) >= 5
    check_lawful(laws.locks_an_address, locks)
    assert not [path for path in locks if '"resolved"' in path.read_text()]


# ── each law would notice ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "source",
    [
        "Authorization(grant=grant)",
        "model.Authorization(grant=grant)",
        "from m import Authorization as Yes\nYes(grant=grant)",
        "Authorization.__new__(Authorization)",
        "object.__new__(Authorization)",
        "make = partial(Authorization, grant=grant)",
        "read(kind=model.Authorization)",
        "replace(authorization, scope=wide)",
        "dataclasses.replace(event.authorization, scope=wide)",
        "copy.replace(authorization, scope=wide)",
        "authorization.__replace__(scope=wide)",
        "def widen(agreed: Authorization): return replace(agreed, scope=wide)",
        'def widen(agreed: "Authorization | None"): return replace(agreed, scope=wide)',
    ],
)
def test_an_authorization_made_elsewhere_is_noticed(source):
    assert laws.authorizes(source)


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(value, Authorization)",
        "def issue(self, authorization: Authorization) -> AccessToken: ...",
        "replace(grant, scope=narrow)",
        "text.replace('authorization', '')",
        "headers.get('Authorization')",
        "policy.decide(grant)",
    ],
)
def test_passing_an_authorization_on_is_no_breach(source):
    assert laws.authorizes(source) == []


@pytest.mark.parametrize(
    "body",
    ["pass", "do()", "assert True", "'assert this'", "with suppress(Exception): do()", "return 1"],
)
def test_a_test_that_cannot_fail_is_noticed(body):
    assert laws.asserts_nothing(f"def test_it():\n {body}")
    assert laws.asserts_nothing(f"class TestIt:\n async def test_it(self):\n  {body}")


@pytest.mark.parametrize(
    "body",
    ["assert it", "check_refusal(answer)", "world.assert_silent()", "with pytest.raises(E): do()"],
)
def test_a_test_that_can_fail_is_no_breach(body):
    assert laws.asserts_nothing(f"def test_it():\n {body}") == []


def test_a_function_of_the_same_file_may_assert_for_a_test():
    asking = "def test_it():\n refused(1)\ndef refused(x):\n checked(x)\n"
    assert laws.asserts_nothing(asking + "def checked(x):\n assert x") == []
    assert laws.asserts_nothing(asking + "def checked(x):\n print(x)")


@pytest.mark.parametrize(
    ("law", "bad", "good"),
    [
        (laws.is_too_long, "x\n" * 301, "x\n" * 300),
        (laws.has_no_opening, "# what it is about\nx = 1", '"""What it is about."""'),
        (laws.has_no_law, '"""What it is about."""', '"""It.\n\nLaw: it waits for nobody."""'),
        (laws.has_no_law, "", '"""Whose?\n\nTo add one, write a file."""'),
        (laws.locks_an_address, "--index-url https://x", '  "url": "https://a.example/fund"'),
    ],
)
def test_each_law_tells_bad_from_good(law, bad, good):
    assert law(bad)
    assert law(good) == []


@pytest.mark.parametrize("module", ["yaml", "tokenward.oauth", "pip._internal"])
def test_an_import_that_a_bare_python_lacks_is_noticed(module):
    assert laws.imports_foreigners(f"def late():\n    import {module}", {"bootstrap"})
    assert laws.imports_foreigners(f"from {module} import x", {"bootstrap"})


@pytest.mark.parametrize(
    "where",
    [
        "https://pypi.org/simple",
        "https://files.pythonhosted.org/a.whl",
        "registry.npmjs.org",
        "http://deb.debian.org/debian",
        "cd /root/x",
        "/work/main",
        "--find-links=/opt/wheels",
        "see `/tmp/w/x`",
    ],
)
def test_a_place_that_nobody_else_has_is_noticed(where):
    assert laws.tells_where(where)


@pytest.mark.parametrize(
    "text",
    ["pip install tokenward", "/etc/ssl/certs", "https://x.example/work/1", "sqlite:///var/lib/x"],
)
def test_a_place_that_everybody_has_is_no_breach(text):
    assert laws.tells_where(text) == []
