"""The examples in the documents, for tests to run.

An example is a fenced block after a comment that names it::

    <!-- run: one-token -->
    ```python
    print(get_token())
    ```

    examples("docs/howto/get-tokens-in-python.md")["one-token"].run()
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

_EXAMPLE = re.compile(
    r"^<!-- run: (?P<name>[a-z0-9-]+) -->\n+"
    r"^(?P<fence>`{3,})(?P<language>[a-z]*)\n(?P<code>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(r"<!--\s*run\b.*")


@dataclass(frozen=True, kw_only=True)
class Example:
    """One example, and where it stands."""

    name: str
    path: Path
    line: int
    """The line of its first line of code, from 1."""

    language: str
    code: str

    def text(self, replace: Mapping[str, str] | None = None) -> str:
        """The code, with addresses of the world replaced by those of the test."""
        code = self.code
        for there, here in (replace or {}).items():
            assert there in code, f"{there} is not in the example {self.name}"
            code = code.replace(there, here)
        return code

    def run(self, replace: Mapping[str, str] | None = None, **names: Any) -> dict[str, Any]:
        """Run it as Python with these names to begin with; what it has named in the end."""
        assert self.language == "python", f"{self.name} is not Python"
        namespace: dict[str, Any] = {"__name__": "__main__", **names}
        # Line numbers of a traceback are those of the document.
        padded = "\n" * (self.line - 1) + self.text(replace)
        exec(compile(padded, str(self.path), "exec"), namespace)  # noqa: S102 - our own documents
        return namespace


def examples(path: str | Path) -> dict[str, Example]:
    """The examples of a document, by name; ``path`` is below the repository."""
    where = ROOT / path
    text = where.read_text("utf-8")
    found: dict[str, Example] = {}
    for match in _EXAMPLE.finditer(text):
        name = match["name"]
        assert name not in found, f"{path} has two examples named {name}"
        found[name] = Example(
            name=name,
            path=where,
            line=text.count("\n", 0, match.start("code")) + 1,
            language=match["language"],
            code=match["code"],
        )
    marks = _MARK.findall(text)
    assert len(marks) == len(found), f"{path}: a mark without an example: {marks}"
    return found
