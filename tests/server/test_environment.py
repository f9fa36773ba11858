"""Variables come from the process, from .env.local, from .env, or from a mounted file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenward.server.config import ConfigError
from tokenward.server.environment import Environment, parse
from tokenward.server.values import Wrong


@pytest.mark.parametrize(
    ("source", "variables"),
    [
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("export A=1", {"A": "1"}),
        ("  A = 1  \n", {"A": "1"}),
        ("A=\nB=1", {"A": "", "B": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("# A=1\n\n   # more\nB=2", {"B": "2"}),
        ("A=one two # said of it", {"A": "one two"}),
        ("A=with#hash", {"A": "with#hash"}),
        ("A= # nothing", {"A": ""}),
        ('A="one # two" # three', {"A": "one # two"}),
        (r'A="a\nb\tc\"d\\e\$f\q"', {"A": 'a\nb\tc"d\\e$f\\q'}),
        (r"A='a\nb \"c\" # d'", {"A": r"a\nb \"c\" # d"}),
        ('A="-----BEGIN\nKEY-----"\nB=1', {"A": "-----BEGIN\nKEY-----", "B": "1"}),
        ("A=${B}", {"A": "${B}"}),
        ("A=a=b", {"A": "a=b"}),
        ("A=it's", {"A": "it's"}),
        ("", {}),
    ],
)
def test_a_file_of_variables_says(source, variables):
    assert parse(source) == (variables, [])


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("hello", 1),
        ("A=1\n= 2\n", 2),
        ("\n\n1A=2", 3),
        ('A=1\nB="never closed', 2),
        ("A='x' y", 1),
        ('A="a\nb"\nnonsense\n', 3),
    ],
)
def test_a_line_that_is_no_variable_is_named(source, line):
    assert parse(source)[1] == [line]


@given(st.text(alphabet="AB=\"'\\#$ \n\r\tx", max_size=50))
def test_reading_variables_ends_whatever_the_text_is(source):
    found, astray = parse(source)
    assert all(isinstance(value, str) for value in found.values())
    assert all(1 <= line <= source.count("\n") + 1 for line in astray)


def test_the_process_comes_before_the_local_file_and_that_before_the_shared_one(tmp_path):
    (tmp_path / ".env").write_text("A=shared\nB=shared\nC=shared")
    (tmp_path / ".env.local").write_text("A=local\nB=local")
    environment = Environment.open(tmp_path, {"A": "process"})
    assert [environment.find(name) for name in "ABCD"] == ["process", "local", "shared", None]
    assert environment.warnings == ()


@pytest.mark.parametrize(
    ("content", "value"),
    [("x\n", "x"), ("x\r\n", "x"), ("x", "x"), ("x\n\n", "x\n"), (" x ", " x ")],
)
def test_a_mounted_secret_is_the_content_less_one_line_break(tmp_path, content, value):
    (tmp_path / "mounted").write_bytes(content.encode())
    for path in ("mounted", str(tmp_path / "mounted")):
        assert Environment.open(tmp_path, {"A_FILE": path}).find("A") == value


def test_a_variable_comes_before_the_mounted_file_of_the_same_place(tmp_path):
    (tmp_path / "mounted").write_text("from the file")
    (tmp_path / ".env").write_text("A=from .env")
    assert Environment.open(tmp_path, {"A": "a", "A_FILE": "mounted"}).find("A") == "a"
    assert Environment.open(tmp_path, {"A": "", "A_FILE": "mounted"}).find("A") == "from the file"
    assert Environment.open(tmp_path, {"A_FILE": "mounted"}).find("A") == "from the file"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "A_FILE names a file that cannot be read: No such file or directory"),
        (b"\xff", "is not a file of UTF-8 text"),
        (b"x" * 1_048_577, "is larger than 1048576 bytes"),
    ],
)
def test_a_mounted_file_that_cannot_be_read_is_told(tmp_path, content, message):
    if content is not None:
        (tmp_path / "mounted").write_bytes(content)
    with pytest.raises(Wrong, match=message):
        Environment.open(tmp_path, {"A_FILE": "mounted"}).find("A")


def fill(environ, written, tmp_path):
    used: dict[str, str] = {}
    return Environment.open(tmp_path, environ).fill(written, used), used


@pytest.mark.parametrize(
    ("written", "filled", "used"),
    [
        ("plain", "plain", {}),
        ("${A}", "one", {"one": "${A}"}),
        ("x${A}y${B}", "xoney${A}", {"one": "${A}", "${A}": "${B}"}),
        ("$${A}", "${A}", {}),
        ("$A $ {A} }", "$A $ {A} }", {}),
        ("a${EMPTY}b", "ab", {"": "${EMPTY}"}),
    ],
)
def test_variables_are_put_in_once(tmp_path, written, filled, used):
    environ = {"A": "one", "B": "${A}", "EMPTY": ""}
    assert fill(environ, written, tmp_path) == (filled, used)


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("${MISSING}", "MISSING is not set: not in the environment, nor in .env.local or .env", ""),
        ("${SECERT}", "nor is SECERT_FILE", 'did you mean "SECRET"?'),
        ("${EMPTY}", "EMPTY is set, but empty", ""),
        ("${}", "a ${ without a variable", "written ${NAME}"),
        ("${a-b}", "a ${ without a variable", "written ${NAME}"),
        ("${A", "a ${ without a variable", "written ${NAME}"),
    ],
)
def test_a_variable_that_is_not_there_is_told(tmp_path, written, message, hint):
    with pytest.raises(Wrong) as caught:
        fill({"SECRET": "hunter2", "EMPTY": ""}, written, tmp_path)
    assert message in str(caught.value)
    assert hint in caught.value.hint
    assert "hunter2" not in str(caught.value) + caught.value.hint


def test_a_virtual_environment_called_env_is_no_file_of_variables(tmp_path):
    (tmp_path / ".env").mkdir()
    assert Environment.open(tmp_path, {}).find("A") is None


def test_lines_that_are_no_variables_are_warned_of_and_not_shown(tmp_path):
    (tmp_path / ".env").write_text("A=1\npassword hunter2\n")
    environment = Environment.open(tmp_path, {})
    (warning,) = environment.warnings
    assert warning.place == ".env:2"
    assert "hunter2" not in str(warning)
    assert environment.find("A") == "1"


@pytest.mark.parametrize(
    ("content", "message"), [(b"A=\xff", "is not UTF-8"), (b"#" * 1_048_577, "is larger than")]
)
def test_a_file_of_variables_that_cannot_be_read_is_told(tmp_path, content, message):
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        Environment.open(tmp_path, {})


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfA=1")
    assert Environment.open(tmp_path, {}).find("A") == "1"


def test_values_are_not_in_the_repr(tmp_path):
    (tmp_path / ".env").write_text("A=hunter2")
    assert "hunter2" not in repr(Environment.open(tmp_path, {"B": "hunter2"}))
