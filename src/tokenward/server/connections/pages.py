"""What people see while they connect an account: who wants what, from whom, and for which person.

Law of this module: a page shows only what it is given, escaped; it needs no script, and its one
style is allowed by its hash. Where a browser is to go on, the page says so and does it: a redirect
would be stopped by the policy on forms wherever the other server redirects in turn.
"""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from urllib.parse import urlsplit

from tokenward.server.connections.journeys import Journey
from tokenward.server.http import NO_STORE, Answer

Pairs = tuple[tuple[bytes, bytes], ...]

STYLE = """
:root { color-scheme: light dark;
  --ground: light-dark(#f7f8fa, #14171c); --paper: light-dark(#ffffff, #1c2027);
  --ink: light-dark(#171a1f, #e9ebee); --faint: light-dark(#565d68, #a4abb6);
  --line: light-dark(#d9dde3, #363c46); --accent: light-dark(#0a5cb0, #86b8f5);
  --on-accent: light-dark(#ffffff, #10151b); --warn: light-dark(#fdf3d8, #2f2812); }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem 1rem;
  background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, "DejaVu Sans", sans-serif; }
main { width: 100%; max-width: 33rem; padding: 2rem; background: var(--paper);
  border: 1px solid var(--line); border-radius: 0.9rem; overflow-wrap: anywhere; }
h1 { margin: 0 0 0.75rem; font-size: 1.45rem; line-height: 1.3; letter-spacing: -0.01em; }
p { margin: 0 0 1rem; color: var(--faint); }
dl { margin: 0 0 1.25rem; border-top: 1px solid var(--line); }
dl > div { padding: 0.7rem 0; border-bottom: 1px solid var(--line); }
dt { color: var(--faint); font-size: 0.86rem; }
dd { margin: 0; font-weight: 600; }
dd small { display: block; color: var(--faint); font-size: 0.86rem; font-weight: 400; }
ul { margin: 0; padding-left: 1.15rem; }
.mind { padding: 0.8rem 1rem; border-radius: 0.6rem; background: var(--warn); color: var(--ink); }
.choice { display: flex; flex-wrap: wrap; gap: 0.75rem; }
button, .go { padding: 0.65rem 1.2rem; border: 1px solid var(--accent); border-radius: 0.55rem;
  background: var(--accent); color: var(--on-accent); font: inherit; font-weight: 600;
  text-decoration: none; cursor: pointer; }
button.less { background: transparent; color: var(--accent); }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; border-radius: 0.55rem; }
"""
_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Pairs = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    *NO_STORE,
)


def asked(journey: Journey, *, platform: str, scopes: Mapping[str, str], mark: str) -> bytes:
    """The page with the click: which app, which person, which platform, what it may do there.

    ``scopes`` are those asked for, with what they mean; ``mark`` says that the click is ours.
    """
    app, person = escape(journey.app), escape(journey.person)
    back = escape(place_of(journey.redirect_uri))
    id = f"<small>{escape(journey.client)}</small>" if journey.client not in ("", app) else ""
    who = "" if journey.person == journey.subject else f"<small>{escape(journey.subject)}</small>"
    items = "".join(
        f"<li>{escape(meaning or name)}</li>" for name, meaning in sorted(scopes.items())
    )
    may = f"<ul>{items}</ul>" if items else "whatever it says there"
    return _page(
        f"Connect {platform} to {journey.app}?",
        f"""<p>{app} asks to use your account at {escape(platform)}. You sign in there, and can
say no there, too.</p>
<dl>
<div><dt>App</dt><dd>{app}{id}<small>afterwards you are back at {back}</small></dd></div>
<div><dt>For</dt><dd>{person}{who}</dd></div>
<div><dt>Account at</dt><dd>{escape(platform)}</dd></div>
<div><dt>It may</dt><dd>{may}</dd></div>
</dl>
<p class="mind"><strong>Go on only if you are {person}</strong> and have just asked for this in
{app}. If somebody sent you this link, close the page: your account would be theirs to use.</p>
<form method="post" class="choice">
<input type="hidden" name="mark" value="{escape(mark)}">
<button name="answer" value="connect">Go on to {escape(platform)}</button>
<button name="answer" value="cancel" class="less">Cancel</button>
</form>""",
    )


def onward(url: str, *, to: str) -> bytes:
    """The page from which a browser goes on by itself, or by a click where it does not."""
    return _page(
        f"On to {to}",
        f'<p>If nothing happens, <a class="go" href="{escape(url)}">go on to {escape(to)}</a></p>',
        head=f'<meta http-equiv="refresh" content="0;url={escape(url)}">\n',
    )


def ended(title: str, text: str) -> bytes:
    """The page of whoever cannot go on."""
    return _page(title, f"<p>{escape(text)}</p>")


def answer(body: bytes, *more: tuple[bytes, bytes], status: int = 200) -> Answer:
    """A page, and what else the browser is told."""
    return Answer(status, (*HEADERS, *more) if more else HEADERS, body)


def place_of(url: str) -> str:
    """Where an address leads, as far as a person can judge it."""
    parts = urlsplit(url)
    return parts.netloc or f"{parts.scheme}:"


def _page(title: str, content: str, *, head: str = "") -> bytes:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
{head}<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
{content}
</main>
</body>
</html>
""".encode()
