"""A person connects an account in a real browser: on a desk, on a phone, in the dark, and not."""

import pytest

from tests.browser.chromium import DESK, PHONE
from tests.browser.test_welcome import COLOURS, CONTRASTS, TOO_SMALL
from tests.server.connections.somebody import PHOTOS_SECRET
from tests.server.connections.there import there
from tokenward import Accounts, TokenError

pytestmark = pytest.mark.browser

CONFIG = """
issuer = "{{url}}"
[audit]
to = "AUDIT"
[callers.people]
proof    = "jwt"
issuer   = "{{friend}}"
audience = "https://tokens.example.com"
[callers.photos]
proof         = "client_secret"
secrets       = ["${PHOTOS_HASH}"]
grant_types   = ["token_exchange"]
client_name   = "Photos"
redirect_uris = ["{{drive}}/app"]
[tokens.drive]
upstream      = "connection"
title         = "Example Drive"
issuer        = "{{drive}}"
client_id     = "${GOOGLE_CLIENT_ID}"
client_secret = "${GOOGLE_CLIENT_SECRET}"
scopes        = { "files:read" = "See your files", "files:write" = "Change your files" }
[[allow]]
name   = "people use their drive"
caller = "people"
claims = { sub = "*" }
token  = "drive"
scope  = "files:read files:write"
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("connecting")
    with there(folder, CONFIG.replace("AUDIT", str(folder / "audit.jsonl"))) as running:
        yield running


@pytest.fixture
def accounts(world):
    return Accounts(world.url, "photos", PHOTOS_SECRET)


def told(page):
    """What the app is told by the address that the browser is at."""
    return page.value("Object.fromEntries(new URLSearchParams(location.search))")


def arrive(page, world):
    page.until(f"location.href.startsWith({world.drive.url + '/app'!r}) && document.title")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
def test_the_page_is_read_without_anything_else(browser, world, accounts, pictures, screen, dark):
    link = accounts.connect_url("drive", subject_token=world.token())
    with browser.page(link, screen=screen, dark=dark) as page:
        page.shoot(pictures / f"connect-{screen['width']}-{dark}.png")
        assert page.value("document.querySelector('h1').textContent") == (
            "Connect Example Drive to Photos?"
        )
        text = page.value("document.body.innerText")
        for said in ("Photos", "Ann", "Example Drive", "See your files", "somebody sent you"):
            assert said in text
        assert page.value("document.documentElement.scrollWidth <= innerWidth")
        assert page.asked_for() == [link]
        ground, ink = page.value(COLOURS)
        assert (sum(ground) < sum(ink)) is dark
        assert page.value(CONTRASTS) == []
        assert page.value(TOO_SMALL) == []


def test_a_person_connects_and_the_app_gets_tokens(browser, world, accounts):
    ann = world.token("ann")
    link = accounts.connect_url("drive", subject_token=ann, state="app-state")
    with browser.page(link) as page:
        page.click("button[value=connect]")
        page.until("document.querySelector('#agree') !== null")
        shown = world.drive.shown[-1]
        assert shown["code_challenge_method"] == "S256"
        page.click("#agree")
        arrive(page, world)
        said = told(page)
        assert said["state"] == "app-state"
        assert page.value("document.referrer") == "", "no address of ours goes on"
    made = accounts.complete(said["connection_code"], subject_token=ann)
    assert made.status == "connected"
    accounts.disconnect("drive", subject_token=ann)


def test_the_keyboard_alone_will_do(browser, world, accounts):
    link = accounts.connect_url("drive", subject_token=world.token())
    with browser.page(link) as page:
        page.press("Tab", 9)
        assert page.value("document.activeElement.value") == "connect"
        assert page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.press("Tab", 9)
        assert page.value("document.activeElement.value") == "cancel"
        page.press("Enter", 13, "\r")
        arrive(page, world)
        assert told(page)["error"] == "access_denied"


def test_who_refuses_over_there_is_back_at_the_app(browser, world, accounts):
    link = accounts.connect_url("drive", subject_token=world.token(), state="s")
    with browser.page(link) as page:
        page.click("button[value=connect]")
        page.until("document.querySelector('#refuse') !== null")
        page.click("#refuse")
        arrive(page, world)
        assert told(page) == {
            "error": "access_denied",
            "error_description": "the person did not agree",
            "state": "s",
        }


def test_a_way_back_taken_to_another_browser_ends_on_a_page(browser, world, accounts):
    ann = world.token("ann")
    link = accounts.connect_url("drive", subject_token=ann)
    with browser.page(link) as page:
        page.click("button[value=connect]")
        page.until("document.querySelector('#agree') !== null")
        asked = page.value("location.href")
    with browser.page(world.drive.answered(asked), behaved=False) as page:
        assert page.value("document.querySelector('h1').textContent") == (
            "You have begun in another browser"
        )
    assert accounts.connections(subject_token=ann) == []


def test_a_page_elsewhere_can_neither_frame_the_question_nor_click_it(browser, world, accounts):
    link = accounts.connect_url("drive", subject_token=world.token("mallory"))
    with browser.page(f"{world.drive.url}/evil", behaved=False) as page:
        page.value(
            f"""new Promise(done => {{
                const frame = document.createElement("iframe");
                frame.onload = done; frame.src = {link!r}; document.body.append(frame);
            }})"""
        )
        assert page.value(
            "(() => { try { return frames[0].document.querySelector('form') === null }"
            " catch { return true } })()"
        )
        page.value(
            f"""(() => {{
                const form = document.createElement("form");
                form.method = "post"; form.action = {link!r};
                form.innerHTML = '<input name="answer" value="connect"><input name="mark">';
                document.body.append(form); form.submit();
            }})()"""
        )
        page.until("document.querySelector('h1')?.textContent === 'Nothing was connected'")
    with browser.page(link) as page:
        assert page.value("document.querySelectorAll('button').length") == 2
    with pytest.raises(TokenError):
        accounts.complete("guessed", subject_token=world.token("mallory"))
