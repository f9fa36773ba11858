"""A real Chromium, driven over the DevTools protocol through a pipe: no library between.

Law: what the browser complains of, what it asks for and what it blocks is kept, and nobody closes
a page without looking at it. It has a profile of its own, and no way to anywhere but loopback.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--metrics-recording-only",
    "--mute-audio",
    "--no-first-run",
    "--no-default-browser-check",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--remote-debugging-pipe",
)
PATIENCE = 30.0
"""Seconds for whatever the browser is asked to do."""

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
DESK = {"width": 1100, "height": 900, "deviceScaleFactor": 1, "mobile": False}


def find() -> str | None:
    """The browser there is, if there is one."""
    names = (os.environ.get("TOKENWARD_CHROMIUM", ""), "chromium", "chromium-browser")
    return next((found for name in names if name and (found := shutil.which(name))), None)


class Refused(Exception):
    """The browser would not do what it was asked."""


@dataclass
class Browser:
    """The process, and the pipe to it."""

    process: subprocess.Popen[bytes]
    to: int
    back: int
    events: list[dict[str, Any]] = field(default_factory=list)
    _answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    _messages: deque[bytes] = field(default_factory=deque)
    _rest: bytes = b""
    _last: int = 0

    def ask(self, method: str, *, session: str = "", **params: Any) -> dict[str, Any]:
        """Ask for something and wait until it is done; raises ``Refused``."""
        self._last += 1
        number = self._last
        said: dict[str, Any] = {"id": number, "method": method, "params": params}
        message = json.dumps(said | ({"sessionId": session} if session else {}))
        os.write(self.to, message.encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while number not in self._answers:
            self.listen(until)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise Refused(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])

    def listen(self, until: float) -> None:
        """Take in the next message; raises ``TimeoutError`` if there is none until then."""
        while not self._messages:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.back], [], [], left)[0]:
                raise TimeoutError("the browser says nothing")
            got = os.read(self.back, 1_048_576)
            if not got:
                raise EOFError("the browser has ended")
            *whole, self._rest = (self._rest + got).split(b"\0")
            self._messages.extend(whole)
        message = json.loads(self._messages.popleft())
        if "id" in message:
            self._answers[message["id"]] = message
        else:
            self.events.append(message)

    @contextmanager
    def page(
        self,
        url: str,
        *,
        screen: dict[str, Any] = DESK,
        dark: bool = False,
        scripts: bool = True,
        behaved: bool = True,
    ) -> Iterator["Page"]:
        """A page in a window of its own; AssertionError if it did what it should not.

        ``behaved`` is for pages of ours; a stranger's may give reason to complain.
        """
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)
        page = Page(
            self,
            context=context,
            session=self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)[
                "sessionId"
            ],
        )
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            page.ask(f"{domain}.enable")
        page.ask("Emulation.setDeviceMetricsOverride", **screen)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.ask("Emulation.setEmulatedMedia", features=[scheme])
        page.ask("Emulation.setScriptExecutionDisabled", value=not scripts)
        try:
            page.go(url)
            yield page
            page.check_conduct(behaved=behaved)
        finally:
            self.ask("Target.disposeBrowserContext", browserContextId=context)


@dataclass
class Page:
    """One page in one browser."""

    browser: Browser
    context: str
    session: str

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask this page."""
        return self.browser.ask(method, session=self.session, **params)

    def go(self, url: str) -> None:
        """Open an address and wait until it is loaded."""
        seen = len(self.browser.events)
        went = self.ask("Page.navigate", url=url)
        assert "errorText" not in went, f"{url}: {went['errorText']}"
        self.wait_for("Page.loadEventFired", seen)

    def wait_for(self, method: str, seen: int = 0) -> dict[str, Any]:
        """The first such event of this page after that many; waits for it."""
        until = time.monotonic() + PATIENCE
        while True:
            for event in self.browser.events[seen:]:
                if event["method"] == method and event.get("sessionId") == self.session:
                    return dict(event["params"])
            self.browser.listen(until)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is here, promises awaited."""
        said = self.ask(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def until(self, expression: str) -> Any:
        """The value of an expression as soon as it is true."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with suppress(Refused):  # it went to another page while it was asked
                if value := self.value(expression):
                    return value
            time.sleep(0.02)
        raise AssertionError(f"never: {expression}")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let it go."""
        how = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **how)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **how)

    def click(self, selector: str) -> None:
        """Click into the middle of an element, as a mouse does."""
        x, y = self.value(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{ block: "center" }});
              const box = element.getBoundingClientRect();
              return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def allow(self, *permissions: str) -> None:
        """Allow the page something that it would have to ask for."""
        self.browser.ask(
            "Browser.grantPermissions",
            permissions=list(permissions),
            browserContextId=self.context,
        )

    def shoot(self, path: Path) -> None:
        """A picture of the whole page."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        picture = self.ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(picture["data"]))

    def events(self, *methods: str) -> list[dict[str, Any]]:
        """What the browser has told of this page."""
        return [
            event["params"]
            for event in self.browser.events
            if event["method"] in methods and event.get("sessionId") == self.session
        ]

    def asked_for(self) -> list[str]:
        """Every address that was asked for."""
        return [it["request"]["url"] for it in self.events("Network.requestWillBeSent")]

    def complaints(self) -> list[dict[str, Any]]:
        """What the browser complains of, blocks or could not load."""
        self.value("1")  # whatever was on its way is here now
        return [
            *(it["entry"] for it in self.events("Log.entryAdded")),
            *self.events("Runtime.consoleAPICalled"),
            *(it["exceptionDetails"] for it in self.events("Runtime.exceptionThrown")),
            *(it["issue"] for it in self.events("Audits.issueAdded")),
            *(it for it in self.events("Network.loadingFailed") if not it.get("canceled")),
        ]

    def check_conduct(self, *, behaved: bool = True) -> None:
        """No complaint, nothing blocked, nobody asked who is not on this machine."""
        assert not behaved or self.complaints() == []
        hosts = {urlsplit(url).hostname for url in self.asked_for() if not url.startswith("data:")}
        assert hosts <= {"127.0.0.1", "localhost"}, hosts


_PLUG = """
import os, sys
for wire, number in zip(sys.argv[1:3], (3, 4)):
    os.dup2(int(wire), number)
os.execv(sys.argv[3], sys.argv[3:])
"""


@contextmanager
def chromium(program: str, profile: Path) -> Iterator[Browser]:
    """A browser with a new profile, for as long as the block takes."""
    to_read, to = os.pipe()
    back, back_write = os.pipe()
    # Beyond 3 and 4, on which the browser wants to find them.
    theirs = [fcntl.fcntl(wire, fcntl.F_DUPFD, 10) for wire in (to_read, back_write)]
    flags = (*FLAGS, f"--user-data-dir={profile / 'profile'}")
    with (profile / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _PLUG, *map(str, theirs), program, *flags],
            pass_fds=theirs,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    for wire in theirs:
        os.close(wire)
    os.close(to_read)
    os.close(back_write)
    try:
        yield Browser(process, to, back)
    finally:
        os.close(to)
        os.close(back)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
