"""The page about the configuration says what the code says."""

import re

import pytest

from tests.server.reference import PAGE, SETTINGS, rows, written
from tokenward.server.settings import load
from tokenward.server.settings.itm import AUDIENCE, AUTHORITIES, OPTIONAL, PREFIX, REQUIRED, SCOPE

ENVIRON = {
    "NIGHTLY_SECRET_HASH": "sha256:" + "0" * 64,
    "ITWIN_CLIENT_ID": "us",
    "ITWIN_CLIENT_SECRET": "secret",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_explained(name):
    for row in rows(name)[2:]:
        assert re.fullmatch(r"\| `\w+` \| .+ \| .* \| .{8,}[.?] \|", row), row


def test_the_page_has_all_tables_as_they_should_be():
    page = PAGE.read_text()
    assert all(f"<!-- settings: {name} -->" in page for name in SETTINGS)
    assert written(page) == page, "write it again: python -m tests.server.reference"


def test_the_file_on_the_page_can_be_used_as_it_stands(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    path = tmp_path / "tokenward.toml"
    path.write_text(example)
    assert load(path, ENVIRON).warnings == ()


def test_the_page_has_the_mobile_samples_variables_and_what_they_are_otherwise():
    page = PAGE.read_text()
    assert all(f"| `{PREFIX}{name}` | **needed** |" in page for name in REQUIRED)
    assert all(f"| `{PREFIX}{name}` |" in page for name in OPTIONAL)
    for value in SCOPE, AUDIENCE, AUTHORITIES[""]:
        assert f"| `{value}` |" in page
