"""The laws of the house, each checked by a machine; import contracts are in pyproject.toml."""
