"""Real clients that nobody here wrote, against a running server.

A test that needs node asks for the fixture `node`; its script lies beside it and finds the
packages of `package.json`, which `./tokenward test --clients` installs from the lock file. The
server they are tried against is the fixture `tokenward`, see `served.py`. Every test here carries
the mark `clients`, given by this folder.
"""
