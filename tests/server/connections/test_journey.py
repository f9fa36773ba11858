"""From the app's question to a fresh token: a person connects an account, and what may go wrong."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.agreeing import THEIRS
from tests.server.connections.somebody import BACK, OTHER, PHOTOS, onward, said, somebody
from tests.world import US


@pytest.fixture
async def ann(tmp_path):
    async with somebody(tmp_path) as one:
        yield one


# ── the whole of it ──────────────────────────────────────────────────────────────────────────────


async def test_a_person_connects_an_account_once_and_the_app_gets_fresh_tokens(ann):
    refused = await ann.get()
    assert (refused.status_code, refused.json()["error"]) == (400, "interaction_required")

    begun = await ann.start(state="app-state", redirect_uri=BACK)
    assert begun.json().keys() == {"connect_uri", "expires_in"}
    assert begun.json()["expires_in"] == 600
    assert begun.headers["cache-control"] == "no-store"

    answer = await ann.agree(begun.json()["connect_uri"])
    assert answer.headers["location"].startswith(BACK + "?")
    told = said(answer)
    assert told.keys() == {"connection_code", "state"}
    assert told["state"] == "app-state"
    assert (await ann.get()).json()["error"] == "interaction_required", "before it is completed"

    done = await ann.complete(answer)
    assert done.json() == {
        "audience": "drive",
        "status": "connected",
        "connected_at": int(ann.world.clock()),
        "scope": "files:read",
    }
    token = (await ann.get()).json()
    assert token["access_token"].startswith("ann-")
    assert token["scope"] == "files:read"
    assert len(ann.drive.asked) == 1, "the token that came with it is good"

    ann.world.clock.at += 3_600
    fresh = (await ann.get()).json()
    assert fresh["access_token"] != token["access_token"]
    assert ann.drive.asked[-1]["grant_type"] == "refresh_token"


async def test_what_the_other_server_is_asked(ann):
    link = await ann.link(scope="files:read files:write")
    url = onward(await ann.click(link))
    assert url.startswith(f"{ann.drive.url}/authorize?")
    asked = dict(parse_qsl(urlsplit(url).query))
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", asked.pop("state"))
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", asked.pop("code_challenge"))
    assert asked == {
        "response_type": "code",
        "client_id": "tokenward-at-drive",
        "redirect_uri": f"{US}/connections/callback/drive",
        "scope": "files:read files:write offline_access",
        "code_challenge_method": "S256",
        "prompt": "consent",
        "audience": "https://drive.example.com",
    }


async def test_get_token_works_for_apps_without_a_secret(ann):
    answer = await ann.agree(
        await ann.link(auth=None, redirect_uri="https://mobile.example.com/back")
    )
    assert answer.headers["location"].startswith("https://mobile.example.com/back?")
    assert (await ann.complete(answer, auth=None)).status_code == 200
    got = await ann.world.get_token(ann.token(), audience="drive")
    assert (got.status_code, got.text[:11]) == (200, "Bearer ann-")


async def test_get_token_says_that_somebody_has_to_connect_their_account(ann):
    got = await ann.world.get_token(ann.token(), audience="drive")
    assert got.status_code == 403
    assert 'error="interaction_required"' in got.headers["www-authenticate"]
    assert got.text.startswith("No token: The person has to connect their account first")


async def test_status_list_and_disconnect(ann):
    none = {"audience": "drive", "status": "not_connected"}
    assert (await ann.ask("list")).json() == {"connections": []}
    assert (await ann.ask("list", audience="drive")).json() == {"connections": [none]}
    assert (await ann.ask("disconnect", audience="drive")).json() == none
    told = (await ann.connect()).json()
    assert (await ann.ask("list")).json() == {"connections": [told]}
    assert (await ann.ask("list", audience="https://drive.example.com")).json() == {
        "connections": [told]
    }
    [lasting] = ann.drive.grants
    assert (await ann.get()).status_code == 200
    gone = await ann.ask("disconnect", audience="drive")
    assert gone.json() == {"audience": "drive", "status": "disconnected", "upstream": "revoked"}
    assert ann.drive.revoked == [lasting]
    assert (await ann.get()).json()["error"] == "interaction_required", "not even from memory"
    assert (await ann.ask("list")).json() == {"connections": []}


async def test_what_the_other_server_ends_has_to_be_connected_again(ann):
    await ann.connect()
    ann.drive.grants.clear()
    ann.world.clock.at += 3_600
    assert (await ann.get()).json()["error"] == "interaction_required"
    [told] = (await ann.ask("list")).json()["connections"]
    assert told["status"] == "ended"
    assert (await ann.connect()).json()["status"] == "connected"
    assert (await ann.get()).status_code == 200


async def test_who_wants_more_than_was_agreed_to_asks_the_person_again(ann):
    await ann.connect()
    more = await ann.get(scope="files:write")
    assert more.json()["error"] == "interaction_required"
    answer = await ann.agree(await ann.link(scope="files:read files:write"))
    assert (await ann.complete(answer)).json()["scope"] == "files:read files:write"
    assert (await ann.get(scope="files:write")).status_code == 200


async def test_what_the_person_was_not_shown_is_not_given_although_the_platform_would(ann):
    """Some platforms give all that was ever agreed to, for whatever app it was."""
    ann.drive.gives = {"scope": "files:read files:write"}
    assert (await ann.connect(scope="files:read")).json()["scope"] == "files:read"
    for more in ("files:write", "files:read files:write"):
        refused = await ann.get(scope=more)
        assert (refused.status_code, refused.json()["error"]) == (400, "interaction_required")


async def test_a_token_that_does_not_end_lasts_by_itself(ann):
    ann.drive.gives = {"refresh_token": None, "expires_in": None}
    await ann.connect()
    first = (await ann.get()).json()["access_token"]
    ann.world.clock.at += 40 * 86_400
    assert (await ann.get()).json()["access_token"] == first
    assert len(ann.drive.asked) == 1
    await ann.ask("disconnect", audience="drive")
    assert ann.drive.revoked == [first]


async def test_a_server_with_names_of_its_own_for_scopes_gives_what_was_asked_for(ann):
    ann.drive.gives = {"scope": "files,user:email"}
    answer = await ann.agree(await ann.link(audience="second"))
    assert (await ann.complete(answer)).json()["scope"] == "files:read"
    assert (await ann.get(audience="second")).status_code == 200


async def test_a_server_that_does_not_name_the_scope_gave_what_was_asked_for(ann):
    ann.drive.gives = {"scope": None}
    assert (await ann.connect()).json()["scope"] == "files:read"
    assert (await ann.get()).json()["scope"] == "files:read"
    assert len(ann.drive.asked) == 1


async def test_who_agrees_to_less_gives_less(ann):
    ann.drive.gives = {"scope": "files:read"}
    answer = await ann.agree(await ann.link(scope="files:read files:write"))
    assert (await ann.complete(answer)).json()["scope"] == "files:read"
    assert (await ann.get()).status_code == 200
    assert (await ann.get(scope="files:write")).json()["error"] == "interaction_required"


# ── consent is per app ───────────────────────────────────────────────────────────────────────────


STRANGERS = {
    "another client": {"auth": OTHER},
    "nobody": {"auth": None},
    "another person": {"who": "bob"},
}


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_nobody_rides_on_what_a_person_agreed_to_for_another_app(ann, stranger):
    await ann.connect()
    who = STRANGERS[stranger]
    token = ann.token(who.get("who", "ann"))
    auth = who.get("auth", PHOTOS)
    assert (await ann.get(auth=auth, token=token)).json()["error"] == "interaction_required"
    listed = await ann.ask("list", auth=auth, token=token)
    assert listed.json() == {"connections": []}
    ended = await ann.ask("disconnect", auth=auth, token=token, audience="drive")
    assert ended.json()["status"] == "not_connected"
    assert (await ann.get()).status_code == 200


async def test_a_second_app_has_to_ask_again_and_both_have_their_own(ann):
    await ann.connect()
    two = "https://other.example.com/two?a=b"
    answer = await ann.agree(await ann.link(auth=OTHER, redirect_uri=two), account="ann2")
    assert answer.headers["location"].startswith(two + "&connection_code=")
    await ann.complete(answer, auth=OTHER)
    assert (await ann.get()).json()["access_token"].startswith("ann-")
    assert (await ann.get(auth=OTHER)).json()["access_token"].startswith("ann2-")
    await ann.ask("disconnect", auth=OTHER, audience="drive")
    assert (await ann.get()).status_code == 200


async def test_who_says_only_a_name_is_told_apart_by_the_app_their_tokens_are_for(ann):
    back = "https://mobile.example.com/back"
    answer = await ann.agree(await ann.link(auth=None, redirect_uri=back))
    evil = ann.token(azp="evil")
    assert (await ann.complete(answer, auth=None)).status_code == 200
    assert (await ann.world.get_token(ann.token(), audience="drive")).status_code == 200
    assert (await ann.world.get_token(evil, audience="drive")).status_code == 403
    as_spa = await ann.world.exchange(ann.token(), auth=None, audience="drive", client_id="spa")
    assert as_spa.json()["error"] == "interaction_required"


# ── the person ───────────────────────────────────────────────────────────────────────────────────


async def test_the_page_says_who_wants_what_from_whom_and_for_which_person(ann):
    link = await ann.link(scope="files:read files:write")
    page = await ann.browser.get(link)
    assert page.status_code == 200
    for told in (
        "Photos &lt;b&gt;&amp; more&lt;/b&gt;",
        "photos.example.com",
        "Example Drive",
        "Ann",
        "mobile|auth0|ann",
        "See your files",
        "Change your files",
        "If somebody sent you this link",
    ):
        assert told in page.text
    assert "<b>" not in page.text
    assert "<script" not in page.text


async def test_pages_are_closed_to_frames_scripts_and_other_origins(ann):
    link = await ann.link()
    pages = [
        await ann.browser.get(link),
        await ann.click(link),
        await ann.browser.get(f"{US}/connections/nothing"),
        await ann.browser.get(f"{US}/connections/callback/drive"),
    ]
    for page in pages:
        headers = page.headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script" not in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


async def test_the_cookie_is_of_this_host_alone_and_of_no_script(ann):
    page = await ann.browser.get(await ann.link())
    name, _, rest = page.headers["set-cookie"].partition("=")
    assert name == "__Host-tokenward-connect"
    value, *attributes = rest.split("; ")
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", value)
    assert set(attributes) == {"Path=/", "Max-Age=3600", "HttpOnly", "SameSite=Lax", "Secure"}


async def test_looking_at_a_link_does_not_use_it_up(ann):
    link = await ann.link()
    for _ in range(3):
        assert (await ann.another_browser().get(link)).status_code == 200
        assert (await ann.another_browser().head(link)).status_code == 200
    assert (await ann.complete(await ann.agree(link))).status_code == 200


async def test_a_click_uses_a_link_up(ann):
    link = await ann.link()
    assert (await ann.click(link)).status_code == 200
    for browser in (ann.browser, ann.another_browser()):
        page = await browser.get(link)
        assert page.status_code == 404
        assert "This link cannot be used any more" in page.text


async def test_a_link_opened_in_two_browsers_is_good_in_the_one_that_clicks_first(ann):
    link, second = await ann.link(), ann.another_browser()
    marks = []
    for browser in (ann.browser, second):
        page = await browser.get(link)
        marks.append(re.search(r'name="mark" value="([^"]+)"', page.text)[1])
    first = await ann.browser.post(link, data={"mark": marks[0], "answer": "connect"})
    late = await second.post(link, data={"mark": marks[1], "answer": "connect"})
    assert (first.status_code, late.status_code) == (200, 404)
    assert (await ann.complete(await ann.back(ann.drive.answered(onward(first))))).is_success


async def test_links_states_and_codes_expire(ann):
    clock = ann.world.clock
    link = await ann.link()
    clock.at += 599
    assert (await ann.browser.get(link)).status_code == 200
    clock.at += 1
    assert (await ann.browser.get(link)).status_code == 404

    url = ann.drive.answered(onward(await ann.click(await ann.link())))
    clock.at += 900
    assert "come to its end already" in (await ann.back(url)).text

    answer = await ann.agree(await ann.link())
    clock.at += 120
    refused = await ann.complete(answer)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert (await ann.get()).json()["error"] == "interaction_required"


async def test_who_would_rather_not_goes_back_to_the_app(ann):
    link = await ann.link(state="s")
    page = await ann.click(link, answer="cancel")
    where = urlsplit(onward(page))
    assert where.netloc == "photos.example.com"
    assert dict(parse_qsl(where.query)) == {
        "error": "access_denied",
        "error_description": "the person did not agree",
        "state": "s",
    }
    assert (await ann.browser.get(link)).status_code == 404


async def test_who_does_not_agree_over_there_goes_back_to_the_app(ann):
    answer = await ann.agree(await ann.link(state="s"), refuse=True)
    assert said(answer)["error"] == "access_denied"
    assert said(answer)["state"] == "s"
    assert THEIRS not in answer.headers["location"]


FAILURES = {
    "an error": ({"error": "server_error", "code": None}, "server_error"),
    "an error of their own": ({"error": "eek<b>!", "code": None}, "server_error"),
    "another time": ({"error": "temporarily_unavailable", "code": None}, "temporarily_unavailable"),
    "neither": ({"code": None}, "server_error"),
    "a code of nobody's": ({"code": "guessed"}, "server_error"),
    "a code without end": ({"code": "c" * 4_097}, "server_error"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_what_fails_over_there_the_app_hears_in_our_words(ann, failure):
    changes, error = FAILURES[failure]
    answer = await ann.agree(await ann.link(state="s"), **changes)
    assert (said(answer)["error"], said(answer)["state"]) == (error, "s")
    assert THEIRS not in answer.headers["location"]
    assert "eek" not in answer.headers["location"]
    again = await ann.connect()
    assert again.status_code == 200, "nothing is lost by it"


async def test_a_server_that_cannot_be_asked_costs_nobody_their_link(ann):
    link = await ann.link()
    ann.drive.away = True
    page = await ann.click(link)
    assert page.status_code == 503
    assert "Not just now" in page.text
    assert "Nothing is lost" in page.text
    ann.drive.away = False
    assert (await ann.complete(await ann.agree(link))).status_code == 200


@pytest.mark.parametrize(
    ("gives", "broken"),
    [
        ({"refresh_token": None}, 0),
        ({"access_token": None, "refresh_token": None}, 0),
        ({"token_type": "mac", "refresh_token": None}, 0),
        ({}, 500),
        ({}, 302),
        ({}, 404),
    ],
)
async def test_what_is_of_no_use_is_no_connection(ann, gives, broken):
    ann.drive.gives, ann.drive.broken = gives, broken
    answer = await ann.agree(await ann.link())
    assert said(answer)["error"] in ("server_error", "temporarily_unavailable")
    assert "connection_code" not in said(answer)
    assert (await ann.ask("list")).json() == {"connections": []}
