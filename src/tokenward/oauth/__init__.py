"""The language of OAuth: words, no deeds.

Law of this package: it imports the standard library and nothing else, it never waits, and it
never asks what time it is.
"""
