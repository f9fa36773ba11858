"""``python -m tokenward`` is the command ``tokenward``."""

from tokenward.cli import main

main()
