"""The page of dev mode in a real browser: on a desk, on a phone, in the dark, without scripts."""

import itertools
import json
import socket
import threading
from contextlib import closing

import httpx2
import pytest

from tests.browser.chromium import DESK, PHONE

pytestmark = pytest.mark.browser

RECIPES = 4


def test_the_page_says_what_runs_and_what_to_paste(browser, dev):
    with browser.page(f"{dev.url}/") as page:
        assert page.value("document.title") == "tokenward: dev mode"
        assert dev.url in page.value("document.querySelector('header p').textContent")
        numbers = page.value("[...document.querySelectorAll('.number')].map(it => it.textContent)")
        assert numbers == ["1", "2", "3", "4"]
        code = page.value("[...document.querySelectorAll('.code code')].map(it => it.textContent)")
        assert dev.said["client_secret"] in code[0]
        assert dev.urls["api"] in code[1]
        assert dev.urls["getToken"] in code[2]
        assert "YOUR-TENANT" in code[3]
        links = page.value("[...document.querySelectorAll('td a')].map(it => it.href)")
    with httpx2.Client() as http:
        assert {http.get(link).status_code for link in links} == {200}


def test_nothing_comes_from_anywhere_else(browser, dev):
    with browser.page(f"{dev.url}/") as page:
        paths = {url.removeprefix(dev.url) for url in page.asked_for()}
    assert paths == {"/", "/static/welcome.css", "/static/welcome.js", "/static/mark.svg"}


@pytest.mark.parametrize("number", range(1, RECIPES + 1))
def test_a_copy_button_copies_the_whole_command(browser, dev, number):
    with browser.page(f"{dev.url}/") as page:
        page.allow("clipboardReadWrite", "clipboardSanitizedWrite")
        page.click(f"section[aria-labelledby=recipe-{number}] .copy")
        page.until("document.getElementById('said').textContent === 'Copied'")
        copied = page.value("navigator.clipboard.readText()")
        shown = page.value(
            f"document.querySelector('section[aria-labelledby=recipe-{number}] code').textContent"
        )
        assert copied == shown.rstrip()
        page.until("document.querySelectorAll('.copy.done').length === 0")


def test_where_nothing_may_be_copied_the_text_is_selected(browser, dev):
    with browser.page(f"{dev.url}/") as page:
        page.value("navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
        page.click("section[aria-labelledby=recipe-1] .copy")
        page.until("document.getElementById('said').textContent === 'Selected'")
        assert dev.said["client_secret"] in page.value("getSelection().toString()")


def test_the_keyboard_alone_will_do(browser, dev):
    with browser.page(f"{dev.url}/") as page:
        page.allow("clipboardReadWrite", "clipboardSanitizedWrite")
        page.press("Tab", 9)
        assert page.value("document.activeElement.textContent") == "Skip to what to paste"
        assert page.value("document.activeElement.getBoundingClientRect().x") >= 0
        page.press("Enter", 13, "\r")
        page.press("Tab", 9)
        assert page.value("document.activeElement.className") == "copy"
        outline = page.value("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        page.press("Enter", 13, "\r")
        page.until("document.getElementById('said').textContent === 'Copied'")
        assert page.value("navigator.clipboard.readText()").startswith("curl ")


def test_what_happened_shows_up_by_itself(browser, dev):
    with browser.page(f"{dev.url}/") as page:
        before = page.value("document.querySelectorAll('#events .event').length")
        assert before >= 1
        asked = httpx2.get(dev.urls["getToken"], headers=bearer(dev.said["caller_token"]))
        assert asked.status_code == 200
        refused = httpx2.post(
            dev.urls["token"], data={"grant_type": "client_credentials"}, auth=("demo", "wrong")
        )
        assert refused.status_code == 401
        page.until("document.querySelector('#events .refused + .ok') !== null")
        told = page.value("document.querySelector('#events .ok').textContent")
        assert "mobile|auth0|ann" in told
        assert "rule: people of the practice identity provider" in told
        assert "invalid_client" in page.value("document.querySelector('.refused .why').textContent")
        shown = page.value("document.getElementById('events').innerHTML")
    for secret in (dev.said["client_secret"], dev.said["caller_token"], asked.text[7:]):
        assert secret not in shown


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_what_others_write_into_the_trail_is_text_and_nothing_else(browser, dev):
    """Whoever asks decides about part of the trail: the names of grants and targets."""
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    form = {"grant_type": "client_credentials", "audience": evil, "scope": "<b>x</b>"}
    httpx2.post(dev.urls["token"], data=form, auth=("demo", dev.said["client_secret"]))
    with browser.page(f"{dev.url}/") as page:
        page.until("document.querySelector('#events').textContent.includes('<img')")
        assert page.value("document.querySelectorAll('#events img, #events script').length") == 0


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_and_can_be_read(browser, dev, screen, dark, pictures):
    with browser.page(f"{dev.url}/", screen=screen, dark=dark) as page:
        wide = page.value("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], "it scrolls sideways"
        ground, ink = page.value(COLOURS)
        assert (sum(ground) < sum(ink)) is dark
        assert page.value(CONTRASTS) == []
        assert page.value(TOO_SMALL) == []
        page.shoot(pictures / f"{screen['width']}-{'dark' if dark else 'light'}.png")
    picture = (pictures / f"{screen['width']}-{'dark' if dark else 'light'}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 50_000


COLOURS = """(() => {
  const style = getComputedStyle(document.body);
  return [style.backgroundColor, style.color]
    .map(it => it.match(/[0-9.]+/g).slice(0, 3).map(Number));
})()"""

CONTRASTS = """(() => {
  const parts = text => text.match(/[0-9.]+/g).map(Number);
  const light = text => {
    const [r, g, b] = parts(text).slice(0, 3).map(it => it / 255)
      .map(it => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if ((parts(colour)[3] ?? 1) === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const said = [...element.childNodes].some(it => it.nodeType === 3 && it.data.trim());
    const box = element.getBoundingClientRect();
    if (!said || !box.width || box.x < 0) continue;
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([element.tagName, element.textContent.trim().slice(0, 30), ratio]);
  }
  return poor;
})()"""
"""Text whose contrast is less than WCAG 2.2 AA asks for (1.4.3)."""

DANGLING = """["aria-labelledby", "aria-describedby"].flatMap(name =>
  [...document.querySelectorAll(`[${name}]`)].map(it => it.getAttribute(name))
).filter(id => !document.getElementById(id))"""

TOO_SMALL = """(() => [...document.querySelectorAll("button, a, summary")]
  .map(it => [it.textContent, it.getBoundingClientRect()])
  .filter(([, box]) => box.x >= 0 && box.height && (box.height < 18 || box.width < 24))
  .map(([text]) => text))()"""


def test_headings_go_down_one_step_at_a_time_and_every_part_has_a_name(browser, dev):
    with browser.page(f"{dev.url}/") as page:
        levels = page.value("[...document.querySelectorAll('h1,h2,h3')].map(it => +it.tagName[1])")
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        assert page.value(DANGLING) == []
        ids = page.value("[...document.querySelectorAll('[id]')].map(it => it.id)")
        assert len(ids) == len(set(ids))


def test_without_scripts_it_is_all_there_but_the_buttons(browser, dev):
    with browser.page(f"{dev.url}/", scripts=False) as page:
        tree = page.ask("Accessibility.getFullAXTree")["nodes"]
        names = [(it["role"]["value"], it.get("name", {}).get("value", "")) for it in tree]
        assert ("button", "Copy") not in names
        text = " ".join(name for role, name in names if role in ("StaticText", "InlineTextBox"))
        assert dev.said["client_secret"] in text
        assert "What happened" in text
        page.ask("Emulation.setScriptExecutionDisabled", value=False)


def test_with_scripts_every_recipe_has_a_button(browser, dev):
    with browser.page(f"{dev.url}/") as page:
        assert page.value(
            "[...document.querySelectorAll('.code')].every(it => !it.querySelector('.copy').hidden)"
        )


def test_the_configuration_can_be_opened_and_has_no_secret(browser, dev):
    with browser.page(f"{dev.url}/") as page:
        page.click("summary")
        page.until("document.querySelector('details').open")
        shown = page.value("document.querySelector('details code').textContent")
    assert shown == (dev.kept / "tokenward.toml").read_text()
    kept = json.loads((dev.kept / "dev.json").read_text())
    assert not [name for name, value in kept.items() if "secret" in name and value in shown]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_browser_that_calls_this_machine_by_its_own_name_gets_it(dev, host):
    port = dev.url.rpartition(":")[2]
    answer = httpx2.get(f"{dev.url}/", headers={"Host": f"{host}:{port}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example.com", "127.0.0.1.evil.example.com", "tokenward", ""]
)
@pytest.mark.parametrize("path", ["/", "/events"])
def test_a_name_that_was_made_to_resolve_to_us_gets_nothing(dev, host, path):
    answer = httpx2.get(f"{dev.url}{path}", headers={"Host": host})
    assert answer.status_code == 400
    assert dev.said["client_secret"] not in answer.text


def test_a_page_of_another_origin_can_neither_read_nor_frame_it(browser, dev):
    """A stranger's page, on this very machine, tries both."""
    with (
        closing(Stranger(f"<iframe src='{dev.url}/'></iframe>")) as stranger,
        browser.page(stranger.url, behaved=False) as page,
    ):
        read = page.value(f"fetch('{dev.url}/').then(it => it.text(), () => 'refused')")
        assert read == "refused"
        assert page.value("document.querySelector('iframe').contentDocument === null")
        complaints = json.dumps(page.complaints())
    assert "frame-ancestors" in complaints
    assert "CORS" in complaints


class Stranger:
    """A page of an origin of its own."""

    def __init__(self, html):
        body = html.encode()
        self.answer = (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n%s"
            % (
                len(body),
                body,
            )
        )
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                if connection.recv(65_536):
                    connection.sendall(self.answer)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def test_its_policy_allows_no_more_than_it_needs(dev):
    answer = httpx2.get(f"{dev.url}/")
    policy = dict(part.strip().partition(" ")[::2] for part in csp(answer).split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "script-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def csp(answer):
    return answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/static/", "/static/../welcome.py", "/static/welcome.py", "/x"])
def test_there_are_no_other_files(dev, path):
    answer = httpx2.get(f"{dev.url}{path}")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
