"""What pip has been told about where packages come from, uv is told in its own words."""

from pathlib import Path

import pytest

from bootstrap import pip_settings

MIRROR = "https://packages.example/simple"


@pytest.fixture
def home(tmp_path):
    """A home without any configuration, and a system without any."""
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "xdg"), "LANG": "C"}


def told(environ, prefix, *only):
    paths = pip_settings.files(environ, str(prefix))
    found = pip_settings.told(environ, [path for path in paths if path.parts[1] != "etc"])
    return {option: found[option] for option in only} if only else found


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_configuration_pip_has_been_told_nothing(home, tmp_path):
    assert told(home, tmp_path / "venv") == {}


@pytest.mark.parametrize("where", ["xdg/pip", ".pip", ".config/pip", "venv"])
def test_each_of_pips_files_counts(home, tmp_path, where):
    write(tmp_path / where / "pip.conf", f"[global]\nindex-url = {MIRROR}\n")
    assert told(home, tmp_path / "venv") == {"index-url": MIRROR}


def test_the_nearer_file_wins_and_what_is_for_install_wins_over_both(home, tmp_path):
    write(tmp_path / "xdg/pip/pip.conf", "[global]\ntimeout=1\nretries=1\n[install]\nproxy=p\n")
    write(tmp_path / ".config/pip/pip.conf", "[global]\ntimeout = 2\nproxy = q\nretries =\n")
    assert told(home, tmp_path / "venv") == {"timeout": "2", "proxy": "p"}


def test_variables_win_over_files_and_a_named_file_over_the_others(home, tmp_path):
    write(tmp_path / ".config/pip/pip.conf", "[global]\ntimeout = 2\ncert = a\n")
    write(tmp_path / "named.conf", "[global]\ntimeout = 3\ncert = b\n[list]\nformat = json\n")
    environ = {**home, "PIP_CONFIG_FILE": str(tmp_path / "named.conf"), "PIP_CERT": "c"}
    assert told(environ, tmp_path, "timeout", "cert") == {"timeout": "3", "cert": "c"}


def test_pip_can_be_told_to_read_no_file(home, tmp_path):
    write(tmp_path / ".config/pip/pip.conf", "[global]\nindex-url = x\n")
    assert pip_settings.files({**home, "PIP_CONFIG_FILE": "/dev/null"}) == []


@pytest.mark.parametrize("text", ["no section = 1\n", "[global\n", "[global]\nx\n", "\0\xff"])
def test_a_file_that_pip_cannot_read_tells_nothing(home, tmp_path, text):
    write(tmp_path / ".config/pip/pip.conf", text)
    assert told(home, tmp_path / "venv") == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"index-url": MIRROR}, {"UV_DEFAULT_INDEX": MIRROR}),
        (
            {"extra-index-url": "https://a.example\n  https://b.example"},
            {
                "UV_INDEX": "https://a.example https://b.example",
                "UV_INDEX_STRATEGY": "unsafe-best-match",
            },
        ),
        ({"cert": "/ca.pem"}, {"SSL_CERT_FILE": "/ca.pem"}),
        ({"client-cert": "/me.pem"}, {"SSL_CLIENT_CERT": "/me.pem"}),
        ({"default-timeout": "9", "timeout": "5"}, {"UV_HTTP_TIMEOUT": "5"}),
        ({"trusted-host": "a\nb"}, {"UV_INSECURE_HOST": "a b"}),
        (
            {"proxy": "proxy.example:3128"},
            {"HTTPS_PROXY": "http://proxy.example:3128", "HTTP_PROXY": "http://proxy.example:3128"},
        ),
        (
            {"proxy": "https://p.example"},
            {"HTTPS_PROXY": "https://p.example", "HTTP_PROXY": "https://p.example"},
        ),
        ({"find-links": "/nowhere https://l.example"}, {"UV_FIND_LINKS": "https://l.example"}),
        ({"find-links": "/nowhere/at-all"}, {}),
        ({"format": "columns", "user": "1", "no-index": "1"}, {}),
    ],
    ids=str,
)
def test_uv_is_told_the_same(options, said):
    before = pip_settings.for_uv({}, {})
    after = pip_settings.for_uv({}, options)
    assert {name: value for name, value in after.items() if name not in before} == said


def test_uv_trusts_whom_the_system_trusts_and_brings_no_python_of_its_own():
    said = pip_settings.for_uv({"UV_PYTHON_DOWNLOADS": "automatic"}, {})
    assert said["UV_SYSTEM_CERTS"] == said["UV_NATIVE_TLS"] == "1"
    assert said["UV_PYTHON_DOWNLOADS"] == "never"


@pytest.mark.parametrize(
    "own", [{"UV_DEFAULT_INDEX": "mine"}, {"UV_INDEX_URL": "mine"}, {"SSL_CERT_FILE": "mine"}]
)
def test_what_uv_was_told_itself_stands(own):
    said = pip_settings.for_uv(own, {"index-url": MIRROR, "cert": "/ca.pem"})
    assert own.items() <= said.items()
    assert said.get("UV_DEFAULT_INDEX") != MIRROR or "SSL_CERT_FILE" in own


def test_a_folder_of_packages_that_exists_is_passed_on(tmp_path):
    said = pip_settings.for_uv({}, {"find-links": f"{tmp_path} {Path('/nowhere')}"})
    assert said["UV_FIND_LINKS"] == str(tmp_path)


@pytest.mark.parametrize(
    ("value", "flags"), [("1", ["--no-index"]), ("True", ["--no-index"]), ("0", []), ("", [])]
)
def test_no_index_is_no_index(value, flags):
    assert pip_settings.flags_for_uv({"no-index": value}) == flags
