"""The page about workload identity: its shell is shell, and everything else on it is run."""

import re
import subprocess

import pytest

from tests.docs import ROOT, examples
from tests.pasting import unmarked
from tests.server.presets.genuine import PLATFORMS
from tests.server.presets.test_presets import PAGE

SECTIONS = (ROOT / PAGE).read_text("utf-8").split("\n## ")[1 : len(PLATFORMS) + 1]


@pytest.mark.parametrize("number", range(len(unmarked(PAGE))))
def test_what_is_to_be_pasted_into_a_shell_is_shell(number):
    code = unmarked(PAGE)[number]
    assert code.startswith(("curl ", "spire-agent ", "aws "))
    subprocess.run(["/bin/bash", "-n"], input=code.encode(), check=True)


def test_every_configuration_on_the_page_is_used_by_a_test():
    assert set(examples(PAGE)) == {
        *(name.replace("_", "-") for name in PLATFORMS),
        *("kubernetes-inside", "kubernetes-file"),
    }


@pytest.mark.parametrize("section", SECTIONS, ids=lambda it: it.partition("\n")[0])
def test_what_is_asked_for_is_the_audience_that_the_configuration_names(section):
    audience = re.findall(r'^audience += "(.*)"$', section, re.MULTILINE)[0]
    without = re.sub(r"```toml\n.*?```", "", section, flags=re.DOTALL)
    assert re.search(rf"(audience|resource|aud)[=: ]+{re.escape(audience)}\b", without)
