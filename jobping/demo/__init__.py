"""A local world of job boards, to try the daemon without a network.

`world` opens it: one listening socket per source (`server`), each answering as the real source does
(`sites`, `feeds`, from the values of `answers`). What the boards hold comes from a supplier:
`recorded` reads a folder of recorded answers; `synthetic` makes postings from a seed (`jobs`, with
the words of `phrases`) and `shapes` writes them as each source would.
"""
