"""How fast is it, and does it stay that way? `./tokenward bench` and `./tokenward soak`.

`contestants` has a file for each program that is measured, `rows` a file for each question, with a
function for each measurement; `soaking` is one server under a steady load for an hour.

Law: a figure is what a server did per second of its own processor time, in rounds that alternate
over all contestants; a round with an error counts as no round; what could not be measured is named.
"""
