"""Whoever wants an account that is not theirs, or somebody to use one that is: nobody succeeds."""

import asyncio
import json
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest

from tests.server.connections.somebody import BACK, OTHER, PHOTOS, onward, said, somebody
from tests.world import US


@pytest.fixture
async def ann(tmp_path):
    async with somebody(tmp_path) as one:
        yield one


async def nothing_was_connected(ann, **whose):
    """Neither for ann nor for mallory."""
    for who in ("ann", "mallory"):
        answer = await ann.get(token=ann.token(who), **whose)
        assert answer.json()["error"] == "interaction_required"


# ── a link of somebody else's ────────────────────────────────────────────────────────────────────


async def test_a_link_sent_to_somebody_else_never_gives_their_account_to_who_sent_it(ann):
    """Mallory begins, and Ann clicks and agrees: the code comes to Ann's browser at the app."""
    link = await ann.link(token=ann.token("mallory"))
    page = await ann.browser.get(link)
    assert "Go on only if you are Mallory" in page.text, "she is told for whom"
    answer = await ann.agree(link)
    shown = await ann.complete(answer, token=ann.token("ann"))
    assert (shown.status_code, shown.json()["error"]) == (400, "invalid_grant")
    assert "another person, or another app" in shown.json()["error_description"]
    await nothing_was_connected(ann)
    again = await ann.complete(answer, token=ann.token("mallory"))
    assert again.json()["error"] == "invalid_grant", "it is worth nothing from then on"
    await nothing_was_connected(ann)


async def test_who_sent_the_link_gets_nothing_as_long_as_they_have_no_code(ann):
    await ann.agree(await ann.link(token=ann.token("mallory")))
    await nothing_was_connected(ann)
    for code in ("", "guess", "A" * 43):
        answer = await ann.ask("complete", token=ann.token("mallory"), connection_code=code)
        assert answer.status_code == 400
    await nothing_was_connected(ann)


async def test_nobody_is_given_a_strangers_account(ann):
    """Mallory agrees with an account of hers and sends Ann's browser to the app with the code."""
    answer = await ann.agree(await ann.link(token=ann.token("mallory")), account="mallory")
    shown = await ann.complete(answer, token=ann.token("ann"))
    assert shown.json()["error"] == "invalid_grant"
    await nothing_was_connected(ann)


async def test_a_code_of_the_other_server_does_not_go_into_another_browsers_journey(ann):
    """Mallory gets a code for her account, and has Ann's browser return with it and Ann's state."""
    hers = ann.drive.answered(onward(await ann.click(await ann.link())), account="ann")
    mallory = ann.another_browser()
    page = await ann.click(await ann.link(token=ann.token("mallory")), mallory)
    code = dict(parse_qsl(urlsplit(ann.drive.answered(onward(page), account="mallory")).query))
    url = re.sub(r"code=[^&]+", "code=" + code["code"], hers)
    answer = await ann.back(url)
    assert said(answer)["error"] == "server_error", "it was not Ann's browser that asked (PKCE)"
    await nothing_was_connected(ann)


# ── clicks that nobody made ──────────────────────────────────────────────────────────────────────


async def test_no_page_elsewhere_can_click(ann):
    """With and without the cookie, with no mark, a wrong one, and that of another browser."""
    link = await ann.link()
    page = await ann.browser.get(link)
    mark = re.search(r'name="mark" value="([^"]+)"', page.text)[1]
    stranger = ann.another_browser()
    await stranger.get(link)
    tries = [
        (ann.another_browser(), {"mark": mark, "answer": "connect"}, {}),
        (stranger, {"mark": mark, "answer": "connect"}, {}),
        (ann.browser, {"answer": "connect"}, {}),
        (ann.browser, {"mark": "", "answer": "connect"}, {}),
        (ann.browser, {"mark": "0" * 64, "answer": "connect"}, {}),
        (ann.browser, {"mark": mark, "answer": "connect"}, {"sec-fetch-site": "cross-site"}),
        (ann.browser, {"mark": mark, "answer": "connect"}, {"sec-fetch-site": "same-site"}),
        (ann.browser, {"mark": mark, "answer": "cancel"}, {"sec-fetch-site": "none"}),
    ]
    for browser, form, headers in tries:
        answer = await browser.post(link, data=form, headers=headers)
        assert answer.status_code == 403
        assert "Nothing was connected" in answer.text
    good = {"sec-fetch-site": "same-origin"}
    answer = await ann.browser.post(link, data={"mark": mark, "answer": "connect"}, headers=good)
    assert answer.status_code == 200, "and the link is as good as before"


async def test_the_mark_of_one_link_is_none_of_another(ann):
    one, other = await ann.link(), await ann.link()
    page = await ann.browser.get(one)
    mark = re.search(r'name="mark" value="([^"]+)"', page.text)[1]
    answer = await ann.browser.post(other, data={"mark": mark, "answer": "connect"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "cookie",
    [
        "__Host-tokenward-connect=short",
        "__Host-tokenward-connect=" + "!" * 43,
        "__Host-tokenward-connect=" + "a" * 44,
        "tokenward-connect=" + "a" * 43,
        f"__Host-tokenward-connect={'a' * 43}; __Host-tokenward-connect={'b' * 43}",
    ],
)
async def test_a_cookie_that_is_none_of_ours_is_none(ann, cookie):
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(ann.world.app), base_url=US, headers={"cookie": cookie}
    ) as browser:
        page = await browser.get(await ann.link())
        assert "set-cookie" in page.headers
        given = page.headers["set-cookie"].partition("=")[2].partition(";")[0]
        assert given not in cookie


# ── the way back ─────────────────────────────────────────────────────────────────────────────────


async def test_another_browser_does_not_end_what_was_begun_and_nothing_is_lost(ann):
    url = ann.drive.answered(onward(await ann.click(await ann.link())))
    stranger = ann.another_browser()
    await stranger.get(await ann.link())
    for browser in (ann.another_browser(), stranger):
        page = await ann.back(url, browser)
        assert page.status_code == 403
        assert "You have begun in another browser" in page.text
    assert (await ann.complete(await ann.back(url))).status_code == 200


async def test_a_return_counts_once(ann):
    url = ann.drive.answered(onward(await ann.click(await ann.link())))
    assert (await ann.back(url)).status_code == 302
    again = await ann.back(url)
    assert again.status_code == 400
    assert "come to its end already" in again.text
    assert len(ann.drive.asked) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "x" * 43},
        {"state": ""},
        {"state": None},
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"iss": ""},
    ],
)
async def test_a_return_that_was_not_asked_for_changes_nothing(ann, changes):
    asked = onward(await ann.click(await ann.link()))
    page = await ann.back(ann.drive.answered(asked, **changes))
    assert page.status_code == 400
    assert ann.drive.asked == []
    assert (await ann.back(ann.drive.answered(asked))).status_code == 302, "nothing is lost"


async def test_who_does_not_promise_to_say_who_they_are_need_not_but_if_they_do_it_counts(ann):
    ann.drive.says_iss = False
    assert (await ann.connect()).status_code == 200
    asked = onward(await ann.click(await ann.link()))
    page = await ann.back(ann.drive.answered(asked, iss="https://evil.example.com"))
    assert page.status_code == 400
    assert (await ann.back(ann.drive.answered(asked, iss=ann.drive.url))).status_code == 302


async def test_the_answer_of_one_server_does_not_count_for_another(ann):
    url = ann.drive.answered(onward(await ann.click(await ann.link())))
    page = await ann.back(url.replace("callback/drive", "callback/second"))
    assert page.status_code == 400
    assert "does not come from the server that was asked" in page.text
    assert (await ann.back(url)).status_code == 302


async def test_a_parameter_that_comes_twice_counts_for_nothing(ann):
    url = ann.drive.answered(onward(await ann.click(await ann.link())))
    assert (await ann.back(url + "&code=another")).status_code == 400
    assert (await ann.back(url)).status_code == 302


PATHS = ["/connections/callback/none", "/connections/callback", "/connections/a/b", "/connections"]


@pytest.mark.parametrize("path", PATHS)
async def test_there_is_nothing_elsewhere(ann, path):
    assert (await ann.browser.get(US + path)).status_code == 404


@pytest.mark.parametrize("link", ["x", "%41", "a" * 65, "*", "%2a", "..%2fcallback%2fdrive"])
async def test_a_link_that_is_none_is_a_page_or_nothing(ann, link):
    answer = await ann.browser.get(f"{US}/connections/{link}")
    assert answer.status_code == 404


# ── what apps may not ask ────────────────────────────────────────────────────────────────────────


REFUSED = {
    "no token": ({"token": ""}, 400, "invalid_request"),
    "a token of nobody's": ({"token": "eyJhbGciOiJub25lIn0.e30."}, 400, "invalid_grant"),
    "a wrong secret": ({"auth": ("photos", "wrong")}, 401, "invalid_client"),
    "an unknown client": ({"auth": ("evil", "wrong")}, 401, "invalid_client"),
    "another address": ({"redirect_uri": "https://evil.example.com/"}, 400, "invalid_request"),
    "nearly the address": ({"redirect_uri": BACK + "/"}, 400, "invalid_request"),
    "the address and more": ({"redirect_uri": BACK + "?a=b"}, 400, "invalid_request"),
    "the address of another app": (
        {"redirect_uri": "https://other.example.com/one"},
        400,
        "invalid_request",
    ),
    "none of several": ({"auth": OTHER}, 400, "invalid_request"),
    "an app without any": (
        {"auth": ("homeless", OTHER[1]), "redirect_uri": BACK},
        400,
        "invalid_request",
    ),
    "a token of ours": ({"audience": "reports"}, 400, "invalid_target"),
    "no such token": ({"audience": "none"}, 400, "invalid_target"),
    "too much": ({"scope": "files:delete"}, 400, "invalid_scope"),
    "a state without end": ({"state": "s" * 1_025}, 400, "invalid_request"),
    "another grant type": ({"grant_type": "client_credentials"}, 400, "invalid_request"),
}


@pytest.mark.parametrize("refused", REFUSED)
async def test_an_app_that_may_not_begin_hears_why_and_there_is_no_link(ann, refused):
    form, status, error = REFUSED[refused]
    answer = await ann.start(**form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert "connect_uri" not in answer.json()
    assert await ann.world.server.store.shelf.keys("connecting/") == []


async def test_whom_no_rule_allows_the_token_cannot_connect_for_it(ann):
    answer = await ann.start(audience="second", token=ann.token(permissions=[]))
    assert answer.json()["error"] == "invalid_target"


async def test_a_bearer_and_a_subject_token_are_one_too_many(ann):
    answer = await ann.world.http.post(
        "/connections/list",
        data={"subject_token": ann.token()},
        headers={"Authorization": f"Bearer {ann.token()}"},
    )
    assert answer.status_code == 400


@pytest.mark.parametrize("what", ["start", "complete", "list", "disconnect"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_questions_are_posted(ann, what, method):
    answer = await ann.world.http.request(method, f"/connections/{what}")
    assert answer.status_code == 405


@pytest.mark.parametrize("where", ["start", "list", "complete", "disconnect"])
async def test_secrets_in_a_url_are_refused(ann, where):
    query = urlencode({"subject_token": ann.token(), "audience": "drive"})
    answer = await ann.world.http.post(f"/connections/{where}?{query}", data={"audience": "drive"})
    assert answer.status_code == 400


async def test_a_code_is_good_once_and_for_its_own_app(ann):
    answer = await ann.agree(await ann.link())
    stolen = await ann.complete(answer, auth=OTHER)
    assert stolen.json()["error"] == "invalid_grant"
    await nothing_was_connected(ann)
    await nothing_was_connected(ann, auth=OTHER)
    answer = await ann.agree(await ann.link())
    assert (await ann.complete(answer)).status_code == 200
    assert (await ann.complete(answer)).json()["error"] == "invalid_grant"
    assert (await ann.get()).status_code == 200, "a second use takes nothing away"


async def test_a_code_shown_by_nobody_in_particular_is_not_used_up(ann):
    answer = await ann.agree(await ann.link())
    assert (await ann.complete(answer, auth=("photos", "wrong"))).status_code == 401
    assert (await ann.complete(answer, token="eyJhbGciOiJub25lIn0.e30.")).status_code == 400
    assert (await ann.complete(answer)).status_code == 200


# ── once means once ──────────────────────────────────────────────────────────────────────────────


async def test_of_a_hundred_clicks_returns_and_completions_one_counts(ann):
    link = await ann.link()
    page = await ann.browser.get(link)
    form = {"mark": re.search(r'value="([0-9a-f]+)"', page.text)[1], "answer": "connect"}
    clicks = await asyncio.gather(*(ann.browser.post(link, data=form) for _ in range(100)))
    [good] = [it for it in clicks if it.status_code == 200]
    assert {it.status_code for it in clicks} == {200, 404}
    url = ann.drive.answered(onward(good))
    returns = await asyncio.gather(*(ann.back(url) for _ in range(100)))
    [answer] = [it for it in returns if it.status_code == 302]
    assert len(ann.drive.asked) == 1
    done = await asyncio.gather(*(ann.complete(answer) for _ in range(100)))
    assert sorted(it.status_code for it in done) == [200] + [400] * 99


# ── what is written ──────────────────────────────────────────────────────────────────────────────


async def test_the_trail_tells_it_all_and_no_secret(tmp_path):
    async with somebody(tmp_path, store=f"sqlite://{tmp_path}/t.db") as ann:
        link = await ann.link(state="app-state-secret")
        page = await ann.click(link)
        asked = dict(parse_qsl(urlsplit(onward(page)).query))
        url = ann.drive.answered(onward(page))
        answer = await ann.back(url)
        code = said(answer)["connection_code"]
        await ann.back(url)
        await ann.complete(answer)
        await ann.ask("disconnect", audience="drive")
        secrets = [
            link.rpartition("/")[2],
            asked["state"],
            code,
            dict(parse_qsl(urlsplit(url).query))["code"],
            ann.drive.asked[0]["code_verifier"],
            *ann.drive.revoked,
            ann.browser.cookies["__Host-tokenward-connect"],
            PHOTOS[1],
            "app-state-secret",
        ]
        assert len(secrets) == 9
    events = ann.world.events()
    kinds = [it["event"] for it in events]
    assert kinds == [
        "connection_start",
        "connection_open",
        "connection_return",
        "connection_return",
        "connection_complete",
        "connection_disconnect",
    ]
    assert [it["outcome"] for it in events] == ["ok", "ok", "ok", "refused", "ok", "ok"]
    for event in (events[0], events[1], events[2], events[4], events[5]):
        assert (event["token"], event["subject"]) == ("drive", "mobile|auth0|ann")
        assert event["client"] == "photos"
    assert events[0]["rule"] == "people use their drive"
    written = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert len(written) >= 4
    for secret in secrets:
        for path, data in written.items():
            assert secret.encode() not in data, (path, secret)
    assert json.dumps(events).count("Ann") == 0, "no claim is in the trail"
