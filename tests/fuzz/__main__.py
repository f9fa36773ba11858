"""Run one target, guided by what it reaches (libFuzzer); its options are libFuzzer's own."""

import sys
import tempfile
from importlib import import_module
from pathlib import Path

import atheris


def main(arguments: list[str]) -> None:
    """Find new inputs until told to stop; ends with an exit status of its own."""
    name, *options = arguments
    with atheris.instrument_imports(
        include=["tokenward", "tests.fuzz"], enable_loader_override=False
    ):
        target = import_module(f"tests.fuzz.targets.{name}")
    with tempfile.TemporaryDirectory() as folder:
        corpus, words = Path(folder) / "corpus", Path(folder) / "words"
        corpus.mkdir()
        for number, seed in enumerate(target.SEEDS):
            (corpus / f"{number:03}").write_bytes(seed)
        words.write_text("".join(f'"{_quoted(word)}"\n' for word in target.WORDS), "ascii")
        given = [] if any(not option.startswith("-") for option in options) else [str(corpus)]
        options = ["-max_len=4096", f"-dict={words}", "-print_final_stats=1", *options, *given]
        atheris.Setup([sys.argv[0], *options], target.attempt)
        atheris.Fuzz()


def _quoted(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(sys.argv[1:])
