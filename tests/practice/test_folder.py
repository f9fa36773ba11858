"""What dev mode keeps, and the configuration it makes of it."""

import json
import re
import stat
import subprocess

import pytest

from tokenward.cli.recipes import Running
from tokenward.practice.config import HUB_KEY, REAL, config
from tokenward.practice.folder import KEPT, Kept, variables, write
from tokenward.practice.process import Places
from tokenward.server.proofs.hub_key import key_fault, secret_fault
from tokenward.server.settings import load

PLACES = Places.at(41001, 41002, 41003)


def test_new_secrets_are_long_and_different():
    kept = Kept.new()
    secrets = {kept.client_secret, kept.reports_api_secret, kept.itwin_secret}
    assert len(secrets) == 3
    assert all(re.fullmatch(r"[\w-]{43}", secret) for secret in secrets)
    assert secret_fault(kept.hub_secret) == ""
    assert kept.hub_secret != Kept.new().hub_secret
    secrets.add(kept.hub_secret)
    assert not [secret for secret in secrets if secret in repr(kept)]


def test_what_is_kept_is_read_again(tmp_path):
    kept = Kept.new()
    kept.write(tmp_path)
    assert Kept.read(tmp_path) == kept
    assert stat.S_IMODE((tmp_path / KEPT).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "change",
    [
        {"ports": [1, 2]},
        {"ports": [1, 2, 3, 4]},
        {"ports": [1, 2, "3"]},
        {"ports": [1, 2, 65_536]},
        {"ports": 3},
        {"port": -1},
        {"port": None},
        {"client_secret": ""},
        {"client_secret": "short"},
        {"client_secret": "with a 'quote' " * 4},
        {"itwin_secret": 5},
        {"reports_api_secret": ["x" * 43]},
        {"hub_secret": "b" + "9" * 39},
        {"hub_secret": ["b"]},
    ],
)
def test_what_makes_no_sense_is_replaced_as_a_whole(tmp_path, change):
    kept = Kept.new()
    kept.write(tmp_path)
    said = json.loads((tmp_path / KEPT).read_text())
    (tmp_path / KEPT).write_text(json.dumps(said | change))
    again = Kept.read(tmp_path)
    assert again.client_secret != kept.client_secret
    assert again.ports == (0, 0, 0)


def test_a_memory_of_before_there_was_a_hub_is_kept(tmp_path):
    kept = Kept.new()
    kept.write(tmp_path)
    said = json.loads((tmp_path / KEPT).read_text())
    del said["hub_secret"]
    (tmp_path / KEPT).write_text(json.dumps(said))
    again = Kept.read(tmp_path)
    assert again.client_secret == kept.client_secret
    assert secret_fault(again.hub_secret) == ""


def test_without_the_package_of_hubs_there_is_none_and_all_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr("tokenward.practice.config.HUB_MISSING", True)
    (tmp_path / "tokenward.toml").write_text(config(tmp_path, 41000, PLACES))
    settings = load(tmp_path / "tokenward.toml", Kept.new().environment())
    assert settings.warnings == ()
    assert list(settings.issuers) == ["main", "ims", "orders"]
    assert set(settings.tokens) == {"reports", "models", "orders", "itwin"}


def test_without_a_hub_no_variable_names_one(tmp_path, monkeypatch):
    running = Running(
        issuer="http://127.0.0.1:1",
        folder=tmp_path,
        places=PLACES,
        kept=Kept.new(),
        caller_token="",
    )
    hubs = {"DEV_HUB", "DEV_HUB_KEY", "DEV_HUB_SECRET"}
    assert hubs <= set(running.for_shells())
    monkeypatch.setattr("tokenward.cli.recipes.HUB_MISSING", True)
    assert not hubs & set(running.for_shells())
    assert "hub" not in running.urls


def test_the_key_of_the_practice_application_is_one():
    assert key_fault(HUB_KEY) == ""


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "{}", "\x00"])
def test_what_is_no_memory_is_none(tmp_path, text):
    (tmp_path / KEPT).write_text(text)
    assert Kept.read(tmp_path).ports == (0, 0, 0)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    write(tmp_path / "one", "first")
    with pytest.raises(UnicodeEncodeError):
        write(tmp_path / "one", "\ud800")
    assert (tmp_path / "one").read_text() == "first"


def test_variables_are_for_shells_and_for_ours(tmp_path):
    said = {"A": "1", "B": "two words # no comment $HOME `x` \\n"}
    (tmp_path / "env").write_text(variables(said, comment="why", export=True))
    shell = subprocess.run(
        ["sh", "-c", '. ./env; printf "%s" "$B"'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shell.stdout == said["B"]


def test_the_configuration_is_one_without_warnings(tmp_path):
    (tmp_path / "tokenward.toml").write_text(config(tmp_path, 41000, PLACES))
    settings = load(tmp_path / "tokenward.toml", Kept.new().environment())
    assert settings.warnings == ()
    assert [it.url for it in settings.issuers.values()] == [
        "http://127.0.0.1:41000",
        "http://127.0.0.1:41000/ims",
        "http://127.0.0.1:41000/oauth2/orders",
        "http://127.0.0.1:41000/hub",
    ]
    assert settings.listen.host == "127.0.0.1"
    assert settings.store == f"sqlite://{tmp_path}/tokenward.db"
    assert settings.audit.to == str(tmp_path / "audit.jsonl")


@pytest.mark.parametrize("name", ['"', "\\", "${HOME}", "ü", "\x7f", "\n", "'"])
def test_a_folder_of_any_name_is_written_so_that_it_is_meant(tmp_path, name):
    folder = tmp_path / f"a{name}b"
    (tmp_path / "tokenward.toml").write_text(config(folder, 41000, PLACES))
    settings = load(tmp_path / "tokenward.toml", Kept.new().environment())
    assert settings.audit.to == str(folder / "audit.jsonl")


def test_the_file_with_real_values_is_one_without_warnings(tmp_path):
    (tmp_path / "tokenward.toml").write_text(REAL)
    secrets = {"ITWIN_CLIENT_ID": "service-x", "ITWIN_CLIENT_SECRET": "y" * 40}
    assert load(tmp_path / "tokenward.toml", secrets).warnings == ()
