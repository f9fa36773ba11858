"""The journey of a key in a real browser: made in the page, worth a token, and never on its way."""

import base64
import json
import shlex
import subprocess
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.browser.chromium import DESK, PHONE
from tests.browser.test_welcome import CONTRASTS, DANGLING, TOO_SMALL

pytestmark = pytest.mark.browser

# The browser makes every key so that it can be read, tells us what it is, and gives the page one
# that is as the page wanted it.
OVERHEARD = """
const made = [];
const make = crypto.subtle.generateKey.bind(crypto.subtle);
crypto.subtle.generateKey = async (kind, extractable, uses) => {
  if (!KINDS.includes(kind.namedCurve ?? kind)) throw new DOMException("no", "NotSupportedError");
  const keys = await make(kind, true, uses);
  const jwk = await crypto.subtle.exportKey("jwk", keys.privateKey);
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, kind, extractable, ["sign"]);
  made.push({ kind, extractable, uses, jwk, privateKey });
  return { publicKey: keys.publicKey, privateKey };
};
globalThis.made = made;
"""
FIRST = ["make", "ask", "sign", "redeem"]
MISSES = ["twice", "another", "elsewhere"]
MODERN, OLDER = ["Ed25519", "P-256"], ["P-256"]


def act(page, *steps):
    for step in steps:
        page.until(f"!document.querySelector('#{step} .act').disabled")
        page.click(f"#{step} .act")
        page.until(f"document.querySelector('#{step} .verdict') !== null")


def shown(page, step):
    return page.value(f"document.querySelector('#{step} .shown').textContent")


def codes(page, step):
    return page.value(
        f"[...document.querySelectorAll('#{step} .shown code')].map(it => it.textContent)"
    )


def overhear(page, dev, kinds=MODERN):
    source = OVERHEARD.replace("KINDS", json.dumps(kinds))
    page.ask("Page.addScriptToEvaluateOnNewDocument", source=f"{{ {source} }}")
    page.go(f"{dev.url}/key")


def sent(page):
    """Everything that left the page: addresses, headers and bodies."""
    told = page.events("Network.requestWillBeSent", "Network.requestWillBeSentExtraInfo")
    return json.dumps(told)


def posted(page):
    """What was sent with a body, by path."""
    requests = [it["request"] for it in page.events("Network.requestWillBeSent")]
    return [(urlsplit(it["url"]).path, it["postData"]) for it in requests if it["method"] == "POST"]


def spellings(d):
    """The ways in which somebody might write a private number."""
    raw = base64.urlsafe_b64decode(d + "==")
    numbers = [*raw]
    return {
        d,
        base64.b64encode(raw).decode().rstrip("="),
        base64.b32encode(raw).decode().rstrip("=").lower(),
        base64.b64encode(raw[1:]).decode().rstrip("=")[:-2],  # behind a byte of something else,
        base64.b64encode(raw[2:]).decode().rstrip("=")[:-2],  # or two
        raw.hex(),
        json.dumps(numbers),
        json.dumps(numbers, separators=(",", ":")),
    }


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize(
    ("kinds", "alg", "begins"), [(MODERN, "EdDSA", "bbaarei"), (OLDER, "ES256", "b")]
)
def test_a_key_made_in_the_page_is_worth_a_token(browser, dev, kinds, alg, begins):
    with browser.page(f"{dev.url}/key") as page:
        overhear(page, dev, kinds)
        act(page, *FIRST, "use")
        header, said, answer, _ = codes(page, "sign")
        asked = json.loads(codes(page, "ask")[1].partition("\n\n")[2])
        got = json.loads(codes(page, "redeem")[1].partition("\n\n")[2])
        command = codes(page, "use")[0]
    assert json.loads(header) == {"alg": alg, "typ": "tokenward-key-proof+jwt"}
    name = asked["public_key"]
    assert name.startswith(begins)
    assert json.loads(said) == {
        "iss": name,
        "sub": name,
        "aud": dev.url,
        "nonce": asked["nonce"],
    }
    assert answer.count(".") == 2
    token = got["access_token"]
    assert (claims(token)["sub"], got["scope"]) == (name, "reports:read")
    assert command == f"curl -s -H 'Authorization: Bearer {token}' {dev.urls['api']}"
    reports = httpx2.get(dev.urls["api"], headers={"Authorization": f"Bearer {token}"}).json()
    assert reports["read_by"] == name


@pytest.mark.parametrize("kinds", [MODERN, OLDER], ids=["ed25519", "p256"])
def test_no_private_key_leaves_the_page(browser, dev, kinds):
    """Every key is known to us, every request is looked at, and the two have nothing in common."""
    with browser.page(f"{dev.url}/key", behaved=False) as page:
        overhear(page, dev, kinds)
        page.value("localStorage.length")
        act(page, *FIRST, "use", *MISSES, "read")
        made = page.value("made.map(({ jwk, extractable, uses }) => ({ jwk, extractable, uses }))")
        stores = page.value(
            "(async () => [localStorage.length, sessionStorage.length, document.cookie,"
            " (await indexedDB.databases()).length, location.href])()"
        )
        out, bodies = sent(page), posted(page)
        html = page.value("document.documentElement.outerHTML")
        sockets = page.events("Network.webSocketCreated")
    assert len(made) == 2  # mine, and the other one's
    assert [key["extractable"] for key in made] == [False, False]
    for key in made:
        assert [it for it in spellings(key["jwk"]["d"]) if it in out or it in html] == []
    assert made[0]["jwk"]["x"] in out
    assert stores == [0, 0, "", 0, f"{dev.url}/key"]
    assert sockets == []
    assert [path for path, _ in bodies] == [
        *("/challenge", "/token"),
        *("/token", "/challenge", "/token", "/challenge", "/token"),
    ]
    fields = {"kty", "crv", "x"} | ({"y"} if kinds == OLDER else set())
    for path, body in bodies:
        if path == "/challenge":
            said = json.loads(body)
            assert (set(said), set(said["public_key"])) == ({"public_key"}, fields)
        else:
            assert set(parse_qs(body)) == {
                *("grant_type", "subject_token", "subject_token_type", "audience"),
            }


def test_who_looks_for_a_leak_like_that_would_find_one(browser, dev):
    with browser.page(f"{dev.url}/key") as page:
        overhear(page, dev)
        act(page, "make")
        d = page.value("made[0].jwk.d")
        page.value("fetch('/events?' + made[0].jwk.d).then(it => it.status)")
        assert [it for it in spellings(d) if it in sent(page)] == [d]


def test_the_key_cannot_be_read_by_any_script(browser, dev):
    """Without our ears: what the browser itself made, and what it says when it is asked for it."""
    source = """{
      const make = crypto.subtle.generateKey.bind(crypto.subtle);
      crypto.subtle.generateKey = async (...how) => (globalThis.keys = await make(...how));
    }"""
    with browser.page(f"{dev.url}/key") as page:
        page.ask("Page.addScriptToEvaluateOnNewDocument", source=source)
        page.go(f"{dev.url}/key")
        act(page, "make", "read")
        assert page.value("[keys.privateKey.extractable, keys.privateKey.usages]") == [
            False,
            ["sign"],
        ]
        for form in ("pkcs8", "jwk", "raw"):
            assert page.value(
                f"crypto.subtle.exportKey('{form}', keys.privateKey).then(() => 0, it => it.name)"
            ) in ("InvalidAccessError", "NotSupportedError")
        assert "InvalidAccessError" in shown(page, "read")
        assert "Refused." in shown(page, "read")


@pytest.mark.parametrize("miss", MISSES)
def test_a_near_miss_is_refused_and_the_trail_says_why(browser, dev, miss):
    why = {
        "twice": "key: answered before",
        "another": "key: the signature does not match",
        "elsewhere": "key: aud: another server",
    }[miss]
    with browser.page(f"{dev.url}/key", behaved=False) as page:
        act(page, *FIRST, miss)
        assert "Refused: invalid_grant." in shown(page, miss)
        page.until(
            "document.querySelector('#events .refused .why')?.textContent"
            f".startsWith('invalid_grant: {why}')"
        )
        complaints = page.complaints()
        assert page.value(f"document.querySelector('#{miss}').classList.contains('done')")
    assert [it["text"] for it in complaints if "400" not in it.get("text", "")] == []


def test_a_question_that_is_over_is_said_to_be(browser, dev):
    with browser.page(f"{dev.url}/key", behaved=False) as page:
        act(page, *FIRST)
        page.click("#redeem .act")
        page.until("document.querySelector('#redeem').classList.contains('failed')")
        assert "Ask again (step 2)" in shown(page, "redeem")
        act(page, "ask")
        assert page.value("document.querySelector('#redeem .act').disabled")
        assert codes(page, "redeem") == []
        act(page, "sign")
        page.click("#redeem .act")
        page.until("document.querySelector('#redeem').classList.contains('done')")


def test_another_key_begins_anew(browser, dev):
    with browser.page(f"{dev.url}/key") as page:
        act(page, *FIRST)
        before = codes(page, "make")[0]
        page.click("#make .act")
        page.until(
            f"document.querySelector('#make .shown code').textContent !== {json.dumps(before)}"
        )
        assert codes(page, "ask") == codes(page, "sign") == codes(page, "redeem") == []
        states = page.value("[...document.querySelectorAll('.act')].map(it => !it.disabled)")
        assert states == [True, True, False, False, False, False, False, False, True]


def test_the_keyboard_alone_goes_all_the_way(browser, dev):
    with browser.page(f"{dev.url}/key") as page:
        page.press("Tab", 9)
        assert page.value("document.activeElement.className") == "skip"
        page.press("Enter", 13, "\r")
        for step in FIRST:
            for _ in range(9):
                page.press("Tab", 9)
                if page.value(f"document.activeElement === document.querySelector('#{step} .act')"):
                    break
            outline = page.value("getComputedStyle(document.activeElement).outlineStyle")
            assert (step, outline) == (step, "solid")
            page.press("Enter", 13, "\r")
            page.until(f"document.querySelector('#{step} .verdict') !== null")
            said = page.value("document.getElementById('said').textContent")
            assert said == page.value(f"document.querySelector('#{step} .verdict').textContent")
            assert page.value(f"document.activeElement === document.querySelector('#{step} .act')")


def test_what_the_page_has_signed_can_be_shown_by_a_command_line_instead(browser, dev):
    with browser.page(f"{dev.url}/key", behaved=False) as page:
        act(page, "make", "ask", "sign")
        command = shlex.split(codes(page, "sign")[3])
        got = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert got["scope"] == "reports:read"
        act(page, "redeem")
        assert "400 invalid_grant" in shown(page, "redeem")


def test_whatever_is_shown_can_be_copied(browser, dev):
    with browser.page(f"{dev.url}/key") as page:
        page.allow("clipboardReadWrite", "clipboardSanitizedWrite")
        act(page, "make", "ask")
        page.click("#ask figure.wide .copy")
        page.until("document.getElementById('said').textContent === 'Copied'")
        copied = page.value("navigator.clipboard.readText()")
    assert copied.startswith("curl -s ")
    assert copied.endswith(f" {dev.url}/challenge")


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_and_can_be_read(browser, dev, screen, dark, pictures):
    name = f"key-{screen['width']}-{'dark' if dark else 'light'}.png"
    with browser.page(f"{dev.url}/key", screen=screen, dark=dark, behaved=False) as page:
        act(page, *FIRST, "use", "another", "read")
        wide = page.value("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], "it scrolls sideways"
        assert page.value(CONTRASTS) == []
        assert page.value(TOO_SMALL) == []
        assert page.value(DANGLING) == []
        ids = page.value("[...document.querySelectorAll('[id]')].map(it => it.id)")
        assert len(ids) == len(set(ids))
        page.shoot(pictures / name)
    assert (pictures / name).stat().st_size > 50_000


def test_the_first_page_leads_there_and_it_leads_back(browser, dev):
    with browser.page(f"{dev.url}/") as page:
        for link, path in (("a.door", "/key"), ("nav a", "/")):
            seen = len(browser.events)
            page.click(link)
            page.wait_for("Page.loadEventFired", seen)
            assert page.value("location.href") == f"{dev.url}{path}"


def test_without_scripts_it_says_so_and_shows_the_commands(browser, dev):
    with browser.page(f"{dev.url}/key", scripts=False) as page:
        tree = page.ask("Accessibility.getFullAXTree")["nodes"]
        text = " ".join(it.get("name", {}).get("value", "") for it in tree)
        page.ask("Emulation.setScriptExecutionDisabled", value=False)
    assert "The steps need JavaScript" in text
    assert "identity token ann.key" in text


def test_where_the_browser_signs_nothing_the_page_says_so(browser, dev):
    with browser.page(f"{dev.url}/key") as page:
        page.ask(
            "Page.addScriptToEvaluateOnNewDocument",
            source="Object.defineProperty(crypto, 'subtle', { value: undefined })",
        )
        page.go(f"{dev.url}/key")
        page.until("!document.getElementById('unable').hidden")
        assert page.value("document.querySelector('#make .act').disabled")


def test_its_policy_allows_no_more_than_that_of_the_first_page(dev):
    first, key = httpx2.get(f"{dev.url}/"), httpx2.get(f"{dev.url}/key")
    for name in ("content-security-policy", "cache-control", "referrer-policy"):
        assert key.headers[name] == first.headers[name]
    assert "script-src 'self'" in key.headers["content-security-policy"]
    refused = httpx2.get(f"{dev.url}/key", headers={"Host": "evil.example.com"})
    assert refused.status_code == 400
