"""One parser, one file."""
