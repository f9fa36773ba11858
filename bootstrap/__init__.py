"""What `./tokenward` does when something is missing: it makes the environment and says how it goes.

    newer_python  which Python to go on with
    environment   what to do, in order
    packages      how packages get in: by uv, or by pip
    pip_settings  where they come from: what pip has been told, said again to uv
    certificates  whom the system trusts
    debian        how a Debian package gets in
    steps         the words on the screen meanwhile, and after a failure
    lock          which packages, at which versions, with which hashes

Law: standard library only. An environment is finished when its stamp is written, and the stamp is
written last: whatever is interrupted is done again.
"""
