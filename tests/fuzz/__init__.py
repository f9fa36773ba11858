"""Parsers under a hail of bytes: each target says what must hold, whatever it is given.

    ./tokenward test --fuzz                        every target, a million tries between them
    python -m tests.fuzz form -runs=5000000        one of them, for longer
    python -m tests.fuzz form crash-1f0a…          again what made it fail

A target is one file in ``targets``: ``SEEDS``, what honest input looks like; ``WORDS``, what
an attacker would try besides; and ``attempt``, which raises if the parser did what it must not.
Law: a parser gives a value or the one error that it documents, and a value has one spelling.
"""
