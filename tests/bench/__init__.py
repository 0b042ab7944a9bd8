"""What the product costs beside others: `python -m tests.bench`, from the repository's root.

`contender` measures one contender in a process of its own, `driver` runs the rounds and judges
them, `goals.toml` holds the goals; every other module is a suite, a tuple of `SHAPES`. Results are
artefacts: none is kept here. Linux only: memory is read from `/proc`.
"""
