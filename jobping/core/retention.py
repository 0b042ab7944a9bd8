"""For how long what is stored about people and postings is kept."""

import attrs


@attrs.frozen(kw_only=True)
class Retention:
    """`[retention]`, in days.

    Attributes:
        digests: Digests after they were made, with the memory of what was sent, and their files.
        matches: Matches after their posting was news.
        rankings: What models said, after they were asked.
        closed_postings: Postings after they were closed.
    """

    digests: int = 400
    matches: int = 180
    rankings: int = 90
    closed_postings: int = 90
