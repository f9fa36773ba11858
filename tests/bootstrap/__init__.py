"""The way in: from a bare checkout to a program that runs, without a network."""
