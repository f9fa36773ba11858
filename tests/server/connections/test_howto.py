"""The how-to about connecting accounts: its configuration and its app, as they stand."""

import re
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from tests.docs import examples
from tests.server.connections.somebody import PHOTOS_SECRET
from tests.server.connections.there import there
from tests.world import hashed
from tokenward import Accounts, TokenError
from tokenward.server.settings import load

PAGE = "docs/howto/connect-accounts.md"
VARIABLES = {
    "PHOTOS_HASH": hashed(PHOTOS_SECRET),
    "GOOGLE_CLIENT_ID": "us.apps.googleusercontent.com",
    "GOOGLE_CLIENT_SECRET": "google-" + "s" * 30,
}
OURS = "https://tokens.example.com"


def config_of(folder):
    """The configuration of the page, with the drive in Google's place."""
    config = examples(PAGE)["config"].text(
        {
            f'issuer = "{OURS}"': 'issuer = "{{url}}"',
            "/var/lib/tokenward/t.db": str(folder / "t.db"),
            "https://login.example.com/": "{{friend}}",
            'preset        = "google"': 'issuer = "{{drive}}"\noffline_scope = "offline_access"',
        }
    )
    quiet = '[audit]\nto = "%s"\n' % (folder / "audit.jsonl")
    return config + quiet


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("there")
    with there(folder, config_of(folder)) as running:
        yield running


@pytest.fixture
def app(running):
    page = examples(PAGE)
    names = page["app"].run({OURS: running.url, "…": PHOTOS_SECRET})
    return page["ending"].run(accounts=names["accounts"]) | {
        name: names[name] for name in ("files_token", "connect", "connected")
    }


def browse(running, link, **how):
    """What a person does in a browser; what the app is told when they are back."""
    with httpx2.Client() as browser:
        page = browser.get(link)
        assert page.status_code == 200
        mark = re.search(r'name="mark" value="([^"]+)"', page.text)[1]
        page = browser.post(link, data={"mark": mark, "answer": "connect"})
        asked = unescape(re.search(r'content="0;url=([^"]+)"', page.text)[1])
        back = browser.get(running.drive.answered(asked, **how))
        assert back.status_code == 302
        assert back.headers["location"].startswith("https://photos.example.com/connected?")
        return dict(parse_qsl(urlsplit(back.headers["location"]).query))


def test_the_configuration_can_be_used_as_it_stands(tmp_path):
    path = tmp_path / "tokenward.toml"
    path.write_text(examples(PAGE)["config"].code)
    settings = load(path, VARIABLES)
    drive = settings.tokens["drive"].upstream
    assert drive.authorization_endpoint == "https://accounts.google.com/o/oauth2/v2/auth"
    assert [it for it in settings.warnings if "claims" not in it.message] == []


def test_the_app_of_the_page_connects_asks_shows_and_ends(running, app):
    ann = {"user_token": running.token("ann"), "state": "s1"}
    assert app["files_token"](ann["user_token"]) is None
    told = browse(running, app["connect"](ann))
    assert app["connected"](ann, told) == "Your account is connected."
    assert str(app["files_token"](ann["user_token"])).startswith("ann-")
    assert app["settings_page"](ann) == ["drive: connected"]
    assert app["disconnect"](ann, "drive") is True
    assert app["disconnect"](ann, "drive") is False
    assert app["settings_page"](ann) == []


def test_the_app_of_the_page_gives_nobody_somebody_elses_account(running, app):
    mallory = {"user_token": running.token("mallory"), "state": "m"}
    ann = {"user_token": running.token("ann"), "state": "a"}
    told = browse(running, app["connect"](mallory))
    assert app["connected"](ann, told) == "This was begun elsewhere."
    with pytest.raises(TokenError) as caught:
        app["connected"]({**ann, "state": "m"}, told)
    assert caught.value.error == "invalid_grant"
    with pytest.raises(TokenError):
        app["connected"](mallory, told)
    assert app["files_token"](mallory["user_token"]) is None


def test_who_does_not_agree_is_told_so(running, app):
    ann = {"user_token": running.token("ann"), "state": "a"}
    told = browse(running, app["connect"](ann), refuse=True)
    assert app["connected"](ann, told) == "Nothing was connected."


async def test_tasks_have_the_same(running):
    accounts = Accounts(running.url, "photos", PHOTOS_SECRET)
    bob = running.token("bob")
    link = await accounts.aconnect_url("drive", subject_token=bob, state="s")
    code = browse(running, link)["connection_code"]
    made = await accounts.acomplete(code, subject_token=bob)
    assert made
    assert (made.audience, made.status) == ("drive", "connected")
    assert await accounts.aconnections(subject_token=bob) == [made]
    assert await accounts.adisconnect("drive", subject_token=bob) is True
    [none] = await accounts.aconnections(subject_token=bob, audience="drive")
    assert not none
    assert none.status == "not_connected"


def test_a_program_hears_what_was_wrong_and_nothing_secret(running):
    token = running.token("ann")
    wrong = Accounts(running.url, "photos", "a wrong secret")
    with pytest.raises(TokenError) as caught:
        wrong.connect_url("drive", subject_token=token)
    assert (caught.value.error, caught.value.status) == ("invalid_client", 401)
    accounts = Accounts(running.url, "photos", PHOTOS_SECRET)
    with pytest.raises(TokenError) as caught:
        accounts.complete("no-code", subject_token=token)
    assert caught.value.error == "invalid_grant"
    assert "no-code" not in str(caught.value)
    with pytest.raises(ValueError, match="subject_token is empty"):
        accounts.connections(subject_token="")
    with pytest.raises(TokenError) as caught:
        Accounts("http://127.0.0.1:1").connections(subject_token=token)
    assert token not in str(caught.value)
    assert PHOTOS_SECRET not in repr(accounts)
