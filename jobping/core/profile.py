"""What a subscriber wants: the profile that postings are ranked for."""

import enum
import re
from decimal import Decimal

import attrs

from jobping.core.board import Origin
from jobping.core.ids import ProfileId, SubscriberId
from jobping.core.mail_address import check_mail_address
from jobping.core.posting import Interval
from jobping.core.schedule import DigestWish

LONGEST_NAME = 40
NAME_PATTERN = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{LONGEST_NAME - 1}}}")


class RemoteWish(enum.Enum):
    """What the profile says about remote work."""

    ANY = "any"
    ONLY = "only"
    NO = "no"


class Level(enum.Enum):
    """Career levels a profile can ask for."""

    INTERN = "intern"
    ENTRY = "entry"
    MID = "mid"
    SENIOR = "senior"
    LEAD = "lead"


@attrs.frozen(kw_only=True)
class PayFloor:
    """The least pay wanted.

    Attributes:
        amount: In units of the currency, for one interval.
        currency: ISO 4217 code.
    """

    amount: Decimal
    currency: str
    interval: Interval = Interval.YEAR


@attrs.frozen(kw_only=True)
class Profile:
    """Wanted and unwanted, in the person's own words. Empty tuples mean: no wish.

    Attributes:
        name: Lower-case letters, digits and hyphens; unique.
        words: Words or phrases wanted; whole words, case and accents ignored.
        not_words: Words or phrases that exclude a posting when they stand in its title.
        companies: Companies wanted; a posting of one is lifted.
        not_companies: Companies excluded.
        places: Countries (`DE`, `Germany`), groups (`Europe`, `EMEA`) or cities.
        levels: Career levels wanted.
        pay_floor: The least pay; a posting that states less is excluded, an unknown pay is not.
        languages: ISO 639-1 codes of texts the person reads.
        max_items: Most postings in one digest.
        max_per_company: Most postings of one company in one digest.
        digest: When digests are sent; no wish, and no part of the version.
        email: The person's mail address; likewise.

    Raises:
        ValueError: The name does not fit its pattern, a limit is below 1, or `email` is not
            exactly one address.
    """

    name: str = attrs.field()
    words: tuple[str, ...] = ()
    not_words: tuple[str, ...] = ()
    companies: tuple[str, ...] = ()
    not_companies: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    remote: RemoteWish = RemoteWish.ANY
    levels: tuple[Level, ...] = ()
    pay_floor: PayFloor | None = None
    languages: tuple[str, ...] = ()
    max_items: int = attrs.field(default=10)
    max_per_company: int = attrs.field(default=3)
    digest: DigestWish = attrs.field(factory=DigestWish)
    email: str | None = attrs.field(default=None, repr=False)

    @name.validator
    def _check_name(self, _attribute: object, value: str) -> None:
        if not NAME_PATTERN.fullmatch(value):
            raise ValueError(
                f"profile name {value!r}: lower-case letters, digits and hyphens, "
                "1 to 40 characters, not beginning with a hyphen"
            )

    @max_items.validator
    @max_per_company.validator
    def _check_limit(self, attribute: "attrs.Attribute[int]", value: int) -> None:
        if value < 1:
            raise ValueError(f"{attribute.name} {value}: 1 or more")

    @email.validator
    def _check_email(self, _attribute: object, value: str | None) -> None:
        if value is not None:
            check_mail_address(value)


@attrs.frozen(kw_only=True)
class StoredProfile:
    """A profile as the store holds it; `version` grows with each edit of the wishes.

    Attributes:
        subscriber: Whose it is; None: nobody's mail address is known.
        address: Where mail may go now; None: there is no address, it is not confirmed, or its
            owner has unsubscribed.
    """

    id: ProfileId
    version: int
    origin: Origin
    profile: Profile
    subscriber: SubscriberId | None = None
    address: str | None = attrs.field(default=None, repr=False)


EXAMPLE = Profile(
    name="example",
    words=(
        "graduate", "junior", "trainee", "intern", "working student", "analyst", "associate",
        "data", "marketing", "software", "product", "operations", "customer success",
    ),
    places=("Europe",),
    levels=(Level.INTERN, Level.ENTRY),
    max_items=10,
    max_per_company=2,
)  # fmt: skip
"""Early career in Europe; used while no profile exists (origin DEFAULT)."""
