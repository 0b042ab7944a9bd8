"""What is polled while nothing is configured: no keys, Europe and early career.

The company list is our own, from general knowledge and copied from no list. Each slug is
unverified until its first poll.
"""

from jobping.core.board import Board
from jobping.core.ids import SourceName

_AGGREGATORS = (("remoteok", "all"), ("jobicy", "all"), ("remotive", "all"), ("arbeitnow", "all"))

_COMPANIES = (
    ("greenhouse", "getyourguide", "GetYourGuide"),
    ("greenhouse", "n26", "N26"),
    ("greenhouse", "hellofresh", "HelloFresh"),
    ("greenhouse", "monzo", "Monzo"),
    ("greenhouse", "doctolib", "Doctolib"),
    ("lever", "spotify", "Spotify"),
    ("lever", "qonto", "Qonto"),
    ("lever", "mistral", "Mistral AI"),
    ("lever", "swile", "Swile"),
    ("ashby", "alan", "Alan"),
    ("ashby", "dust", "Dust"),
    ("ashby", "lemlist", "lemlist"),
    ("ashby", "voize", "voize"),
    ("recruitee", "hotjar", "Hotjar"),
    ("recruitee", "bunq", "bunq"),
    ("recruitee", "channable", "Channable"),
    ("smartrecruiters", "BoschGroup", "Bosch"),
    ("smartrecruiters", "Ubisoft2", "Ubisoft"),
    ("smartrecruiters", "DeliveryHero", "Delivery Hero"),
    ("workable", "blueground", "Blueground"),
    ("workable", "skroutz", "Skroutz"),
    ("personio", "personio", "Personio"),
    ("personio", "blinkist", "Blinkist"),
    ("personio", "sennder", "sennder"),
)

DEFAULT_BOARDS: tuple[Board, ...] = (
    *(Board(source=SourceName(source), slug=slug) for source, slug in _AGGREGATORS),
    *(
        Board(source=SourceName(source), slug=slug, company=company)
        for source, slug, company in _COMPANIES
    ),
)
"""The default boards; each is of a source that needs no key."""
