"""``tokenward dev``: one line when it is ready, everything in one folder, gone when it is told."""

import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.dev import Dev, around, command, developing, program
from tests.hub import asking, identity, metadata
from tests.servers import until_now
from tests.world import claims_of
from tokenward.client import KeyIdentity, TokenError
from tokenward.practice.folder import Kept

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


def is_alive(pid):
    with suppress(OSError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


# ── ready ────────────────────────────────────────────────────────────────────────────────────────


def test_ready_is_one_line_of_json(dev):
    assert dev.line.endswith("\n")
    assert set(dev.said) == {"issuer", "client_id", "client_secret", "caller_token", "urls"}
    assert dev.said["client_id"] == "demo"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", dev.url)
    assert set(dev.urls) == {
        *("token", "getToken", "metadata", "jwks", "introspection", "revocation"),
        *("challenge", "ims", "okta", "hub", "ready", "idp", "itwin", "api"),
    }


def test_whatever_it_names_answers(dev):
    with httpx2.Client() as http:
        for name in ("metadata", "jwks", "ready", "idp", "itwin"):
            assert http.get(dev.urls[name]).status_code == 200, name
        for name in ("ims", "okta"):
            found = http.get(f"{dev.urls[name]}/.well-known/openid-configuration")
            assert found.json()["issuer"] == dev.urls[name]
        for name in ("token", "introspection", "revocation"):
            assert http.post(dev.urls[name]).status_code in (400, 401), name
        for name in ("getToken", "api"):
            assert http.get(dev.urls[name]).status_code == 401, name
        assert http.post(dev.urls["challenge"]).status_code == 400
        hub = http.get(f"{dev.urls['hub']}/threads.pb.API/GetToken")
        assert hub.status_code == 426


def test_a_client_gets_a_token_and_the_api_believes_it(dev):
    with httpx2.Client() as http:
        answer = http.post(
            dev.urls["token"],
            data={"grant_type": "client_credentials"},
            auth=("demo", dev.said["client_secret"]),
        ).json()
        assert answer["scope"] == "reports:read"
        bearer = {"Authorization": f"Bearer {answer['access_token']}"}
        reports = http.get(dev.urls["api"], headers=bearer)
        assert reports.json() == {"reports": ["bridges", "tunnels"], "read_by": "demo"}
        assert http.get(f"{dev.urls['itwin']}/users/me", headers=bearer).status_code == 401


def test_a_foreign_token_goes_in_and_the_upstreams_comes_out(dev):
    bearer = {"Authorization": f"Bearer {dev.said['caller_token']}"}
    with httpx2.Client() as http:
        got = http.get(dev.urls["getToken"], headers=bearer)
        assert got.status_code == 200
        me = http.get(f"{dev.urls['itwin']}/users/me", headers={"Authorization": got.text})
    assert me.json()["user"]["email"] == "service-practice@apps.imsoidc.bentley.com"


def test_the_callers_one_token_needs_no_name_in_an_exchange(dev):
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": dev.said["caller_token"],
        "subject_token_type": JWT,
    }
    answer = httpx2.post(dev.urls["token"], data=form).json()
    assert answer["scope"] == "itwin-platform"
    assert answer["access_token"].count(".") == 2


def test_its_own_ims_gives_tokens_that_the_platform_believes(dev):
    auth = ("demo", dev.said["client_secret"])
    form = {"grant_type": "client_credentials", "scope": "itwin-platform"}
    with httpx2.Client() as http:
        token = http.post(f"{dev.urls['ims']}/connect/token", data=form, auth=auth).json()
        bearer = {"Authorization": f"Bearer {token['access_token']}"}
        me = http.get(f"{dev.urls['itwin']}/users/me", headers=bearer).json()["user"]
    assert me["email"] == "demo@apps.imsoidc.bentley.com"


def test_the_dialect_of_okta_is_spoken(dev):
    auth = ("demo", dev.said["client_secret"])
    form = {"grant_type": "client_credentials", "scope": "such_scope"}
    answer = httpx2.post(f"{dev.urls['okta']}/v1/token", data=form, auth=auth).json()
    assert answer["scope"] == "such_scope"


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_whoever_has_made_a_key_reads_reports_and_no_upstreams_token(dev, kind):
    identity = KeyIdentity.generate(kind)
    token = identity.get_token(dev.url, audience="reports")
    bearer = {"Authorization": f"Bearer {token}"}
    reports = httpx2.get(dev.urls["api"], headers=bearer).json()
    assert reports["read_by"] == identity.public_key.text
    with pytest.raises(TokenError, match="invalid_target"):
        identity.get_token(dev.url, audience="itwin")


def test_the_route_of_the_seed_takes_a_private_key_and_gives_a_token_of_the_hub(dev):
    someone = KeyIdentity.generate()
    answer = httpx2.post(f"{dev.url}/api/token", json={"id": someone.to_string()})
    assert answer.json()["message"] == "Success: new API token"
    claims = claims_of(answer.json()["token"])
    assert claims["sub"] == someone.public_key.text
    in_the_url = httpx2.get(
        f"{dev.url}/api/token", params={"id": KeyIdentity.generate().to_string()}
    )
    assert in_the_url.status_code == 405


async def test_the_hub_gives_tokens_to_the_people_of_its_application(dev):
    said = {"key": dev.environ["DEV_HUB_KEY"], "secret": dev.environ["DEV_HUB_SECRET"]}
    someone = identity()
    path = urlsplit(dev.environ["DEV_HUB"]).path + "/threads.pb.API/GetToken"
    async with asking(dev.url, path) as client:
        heard = await client.get_token(someone, metadata(**said))
    assert (heard.status, claims_of(heard.token)["sub"]) == (0, someone.public.text)
    async with asking(dev.url, path) as client:
        heard = await client.get_token(someone, metadata(key=said["key"]))
    assert (heard.status, heard.token) == (16, "")


def test_it_listens_on_loopback_only(dev):
    ports = [int(dev.url.rpartition(":")[2])]
    ports += [int(re.findall(r":(\d+)", dev.urls[name])[0]) for name in ("idp", "itwin", "api")]
    addresses = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        address, port = line.split()[1].split(":")
        if int(port, 16) in ports and line.split()[3] == "0A":
            addresses.add(address)
    assert addresses == {"0100007F"}
    assert not [
        line
        for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]
        if int(line.split()[1].split(":")[1], 16) in ports and line.split()[3] == "0A"
    ]


# ── the folder ───────────────────────────────────────────────────────────────────────────────────


def test_all_it_keeps_is_in_its_folder_and_for_its_owner_alone(dev):
    assert {path.name for path in dev.folder.iterdir()} == {".tokenward", "stderr"}
    names = {path.name for path in dev.kept.iterdir()}
    assert names >= {"dev.env", "dev.json", ".env.local", "tokenward.toml", "tokenward.db"}
    assert names >= {"audit.jsonl", "practice.key", "tokenward.db.key"}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in dev.kept.iterdir()}
    assert not [name for name, mode in modes.items() if mode & 0o077]
    assert stat.S_IMODE(dev.kept.stat().st_mode) == 0o700


def test_the_trail_goes_there_too(dev):
    bearer = {"Authorization": f"Bearer {dev.said['caller_token']}"}
    id = httpx2.get(dev.urls["getToken"], headers=bearer).headers["x-request-id"]
    trail = dev.kept / "audit.jsonl"
    until_now(lambda: id in trail.read_text())
    (event,) = (json.loads(it) for it in trail.read_text().splitlines() if id in it)
    assert event["rule"].startswith("people of the practice identity provider")


def test_dev_env_can_be_sourced_by_any_shell(dev):
    said = subprocess.run(
        ["sh", "-euc", ". .tokenward/dev.env; env"],
        cwd=dev.folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stderr == ""
    found = dict(line.split("=", 1) for line in said.stdout.splitlines())
    assert dev.environ.items() <= found.items()
    assert found["TOKENWARD_ISSUER"] == dev.url
    assert found["TOKENWARD_CLIENT_SECRET"] == dev.said["client_secret"]
    assert found["DEV_CALLER_TOKEN"] == dev.said["caller_token"]
    assert {name for name in found if name.startswith(("TOKENWARD_", "DEV_"))} == set(dev.environ)


def test_its_configuration_is_an_ordinary_one(dev):
    checked = command("check", "--config", ".tokenward/tokenward.toml", "--json", cwd=dev.folder)
    assert (checked.code, checked.json["warnings"]) == (0, [])
    assert {rule["caller"] for rule in checked.json["rules"]} == {
        *("mobile", "people", "demo", "notes"),
    }


def test_its_caller_reaches_exactly_one_token(dev):
    checked = command("check", "--config", ".tokenward/tokenward.toml", "--json", cwd=dev.folder)
    rules = checked.json["rules"]
    assert {rule["token"] for rule in rules if rule["caller"] == "mobile"} == {"itwin"}


def test_show_config_shows_what_it_runs_with_and_starts_nothing(dev):
    shown = command("dev", "--show-config", cwd=dev.folder)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == (dev.kept / "tokenward.toml").read_text()


def test_show_config_before_the_first_start_shows_what_it_will_run_with(tmp_path):
    shown = command("dev", "--show-config", "--port", "4711", cwd=tmp_path)
    assert 'url = "http://127.0.0.1:4711"' in shown.out
    assert re.search(r'issuer   = "http://127\.0\.0\.1:[1-9]\d+/"', shown.out)
    again = command("dev", "--show-config", "--port", "4711", cwd=tmp_path)
    assert shown.out == again.out
    assert {path.name for path in (tmp_path / ".tokenward").iterdir()} == {"dev.json"}


def test_its_folder_may_have_any_name(kept, tmp_path):
    name = """it's "quoted" \\back ${NAME} $HOME ümläut"""
    shutil.copytree(kept, tmp_path / name)
    with developing(tmp_path, "--port", "0", "--data", name) as dev:
        assert httpx2.get(dev.urls["ready"]).json() == {"status": "ready"}
        assert (tmp_path / name / "audit.jsonl").exists()
    checked = command("check", "--config", f"{name}/tokenward.toml", "--json", cwd=tmp_path)
    assert (checked.code, checked.json["warnings"]) == (0, [])


def test_it_says_that_it_ignores_a_configuration_that_is_there(kept, tmp_path):
    (tmp_path / "tokenward.toml").write_text("nonsense")
    with talking(tmp_path, kept) as (process, _):
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert err.splitlines() == ["dev ignores the tokenward.toml here; tokenward serve uses it."]


def test_the_environment_of_the_seed_means_nothing_to_it(kept, tmp_path):
    (tmp_path / ".env").write_text("ITM_TOKEN_SERVER_CLIENT_ID=x\nPORT=1\n")
    with developing(tmp_path, "--port", "0", kept=kept) as dev:
        assert httpx2.get(dev.urls["ready"]).status_code == 200


# ── again ────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_pasted_yesterday_still_works(kept, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    with developing(tmp_path, "--port", port, kept=kept) as first:
        auth = ("demo", first.said["client_secret"])
        form = {"grant_type": "client_credentials"}
        token = httpx2.post(first.urls["token"], data=form, auth=auth).json()["access_token"]
    with developing(tmp_path, "--port", port) as second:
        assert second.said["client_secret"] == first.said["client_secret"]
        assert second.urls == first.urls
        bearer = {"Authorization": f"Bearer {token}"}
        assert httpx2.get(second.urls["api"], headers=bearer).status_code == 200
        for old in (first.said["caller_token"], second.said["caller_token"]):
            bearer = {"Authorization": f"Bearer {old}"}
            assert httpx2.get(second.urls["getToken"], headers=bearer).status_code == 200


def test_a_broken_memory_is_replaced(tmp_path):
    folder = tmp_path / ".tokenward"
    folder.mkdir()
    (folder / "dev.json").write_text('{"ports": [1, 2], "port": 1}')
    (folder / "practice.key").write_bytes(b"\xff")
    with developing(tmp_path, "--port", "0") as dev:
        assert Kept.read(folder).client_secret == dev.said["client_secret"]


def test_two_at_once_do_not_disturb_each_other(kept, tmp_path):
    with (
        developing(tmp_path, "--port", "0", kept=kept) as one,
        developing(tmp_path, "--port", "0") as two,
    ):
        assert not set(one.urls.values()) & set(two.urls.values())
        for dev in (one, two):
            bearer = {"Authorization": f"Bearer {dev.said['caller_token']}"}
            assert httpx2.get(dev.urls["getToken"], headers=bearer).status_code == 200


# ── no ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_port_that_is_taken_is_said(dev, tmp_path):
    port = dev.url.rpartition(":")[2]
    ended = command("dev", "--port", port, cwd=tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert f"cannot listen on port {port}: another program uses it" in ended.err
    assert "tokenward dev --port 0" in ended.err


@pytest.mark.parametrize("data", ["/proc/here", "/dev/null", "file/below"])
def test_a_folder_that_cannot_be_is_said(data, tmp_path):
    (tmp_path / "file").touch()
    ended = command("dev", "--port", "0", "--data", data, cwd=tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"tokenward: cannot use the folder {data}: ")
    assert "--data" in ended.err


@pytest.mark.parametrize("name", ["what?", "a#b"])
def test_a_folder_that_no_store_can_be_in_is_said(name, tmp_path):
    ended = command("dev", "--port", "0", "--data", name, cwd=tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert "cannot use the folder" in ended.err


def test_a_database_that_is_none_is_said(tmp_path):
    (tmp_path / ".tokenward").mkdir()
    (tmp_path / ".tokenward" / "tokenward.db").write_bytes(b"this is no database" * 100)
    ended = command("dev", "--port", "0", cwd=tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert "tokenward: cannot " in ended.err


# ── the end ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_all_that_it_started(how, kept, tmp_path):
    shutil.copytree(kept, tmp_path / ".tokenward")
    dev = Dev(folder=tmp_path)
    dev.start()
    (child,) = dev.children()
    assert len(working_in(tmp_path)) == 2
    assert dev.stop(how) == ""
    assert (dev.process.returncode, dev.stderr) == (0, "")
    assert not is_alive(child)


def test_when_it_is_killed_the_practice_servers_end_too(kept, tmp_path):
    shutil.copytree(kept, tmp_path / ".tokenward")
    dev = Dev(folder=tmp_path)
    dev.start()
    (child,) = dev.children()
    assert is_alive(child)
    dev.stop(signal.SIGKILL)
    until = time.monotonic() + 20
    while is_alive(child):
        assert time.monotonic() < until, "the practice servers live on"
        time.sleep(0.02)
    assert dev.stderr == ""


@pytest.mark.parametrize("after", [0.0, 0.1, 0.2, 0.4])
def test_ctrl_c_at_any_moment_leaves_nothing_behind(after, tmp_path):
    # Whoever interrupts coverage while it holds its own lock has it wait for that lock for ever.
    unmeasured = {name: it for name, it in around().items() if not name.startswith("COVERAGE")}
    unmeasured["PYTHONFAULTHANDLER"] = "1"
    process = subprocess.Popen(
        program("dev", "--port", "0"),
        cwd=tmp_path,
        env=unmeasured,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    folder = tmp_path / ".tokenward"
    until_now(lambda: folder.exists() or process.poll() is not None)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    try:
        _, err = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        still = working_in(tmp_path)
        for one in still:
            os.kill(int(one), signal.SIGABRT)  # whoever is there still says where it is
        pytest.fail(f"{process.pid} and what it started, now {still}: {process.communicate()}")
    # Dead of the signal: Python's own way if it comes while a module is being read.
    assert process.returncode in (0, 130, -signal.SIGINT)
    assert "Traceback" not in err
    until_now(lambda: not working_in(tmp_path))


def working_in(folder):
    """The processes whose working directory is this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == folder and is_alive(int(process.name)):
                found.append(process.name)
    return found


# ── what it prints ───────────────────────────────────────────────────────────────────────────────


class talking:  # noqa: N801 - reads as what it does
    """dev as a person runs it, its output read as far as "Ready"."""

    def __init__(self, folder, kept):
        self.folder = folder
        shutil.copytree(kept, folder / ".tokenward")

    def __enter__(self):
        self.process = subprocess.Popen(
            program("dev", "--port", "0"),
            cwd=self.folder,
            env=around(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        said = []
        while line := self.process.stdout.readline():
            said.append(line.rstrip("\n"))
            if line.startswith("Ctrl-C"):
                break
        assert said[-1:] == ["Ctrl-C ends it."], said
        return self.process, said

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)


@pytest.fixture(scope="module")
def printed(kept, tmp_path_factory):
    """What it printed, while it runs."""
    folder = tmp_path_factory.mktemp("printed")
    with talking(folder, kept) as (_, said):
        yield said, folder


def pasted(commands, folder):
    """What a shell answers to what is pasted into it."""
    done = subprocess.run(
        ["bash", "-c", commands],
        cwd=folder,
        env=around({"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def recipe(printed, number):
    said, _ = printed
    titles = [at for at, line in enumerate(said) if line.startswith(f"{number}. ")]
    lines = said[titles[0] + 1 :]
    end = next(at for at, line in enumerate(lines) if re.match(r"\d\. |Ready: ", line))
    return "\n".join(lines[:end]).strip()


def test_the_first_command_gives_a_token_of_ours(printed):
    answer = json.loads(pasted(recipe(printed, 1), printed[1]))
    assert (answer["token_type"], answer["scope"]) == ("Bearer", "reports:read")


def test_the_second_command_calls_the_protected_api_with_it(printed):
    assert json.loads(pasted(recipe(printed, 2), printed[1]))["reports"] == ["bridges", "tunnels"]


def test_the_third_command_does_the_main_job(printed):
    answer = pasted(recipe(printed, 3), printed[1])
    assert re.fullmatch(r"Bearer ey[\w-]+\.[\w-]+\.[\w-]+", answer)


def test_the_fourth_is_a_file_that_only_wants_your_values(printed, tmp_path):
    (tmp_path / "tokenward.toml").write_text(recipe(printed, 4))
    (tmp_path / ".env.local").write_text(
        "ITWIN_CLIENT_ID=service-x\nITWIN_CLIENT_SECRET=yyyyyyyy\n"
    )
    checked = command("check", "--json", cwd=tmp_path)
    assert (checked.code, checked.json["warnings"]) == (0, [])


def test_each_command_is_one_line_without_a_long_token(printed):
    for number in (1, 2, 3):
        assert recipe(printed, number).startswith("curl ")
        assert "\n" not in recipe(printed, number)
        assert len(recipe(printed, number)) < 400


def test_it_says_how_another_terminal_gets_to_know_it(printed):
    said, folder = printed
    (line,) = (it for it in said if it.startswith("In another terminal:"))
    command = line.partition(":")[2].strip()
    assert pasted(f'{command} && echo "$TOKENWARD_CLIENT_ID"', folder) == "demo\n"


def test_whoever_stops_reading_ends_it(kept, tmp_path):
    shutil.copytree(kept, tmp_path / ".tokenward")
    process = subprocess.Popen(
        program("dev", "--port", "0"),
        cwd=tmp_path,
        env=around(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert select.select([process.stderr], [], [], 60)[0]
    assert "Traceback" not in process.stderr.read()
    assert process.wait(30) == 1
    process.stderr.close()
