"""The hours of a day in which a site may be polled."""

import datetime as dt

import attrs


@attrs.frozen(kw_only=True)
class Hours:
    """From the first hour of each day up to, but not into, the last one.

    Attributes:
        zone: Whose hours these are.

    Raises:
        ValueError: The hours are not two rising ones of one day.
    """

    first: int
    last: int
    zone: dt.tzinfo

    def __attrs_post_init__(self) -> None:
        """Check that there is an hour."""
        if not 0 <= self.first < self.last <= 24:
            raise ValueError(f"hours {self.first} to {self.last}: two rising ones from 0 to 24")

    def next_at(self, at: dt.datetime) -> dt.datetime:
        """Return the moment itself where it lies within the hours, else when they begin.

        Args:
            at: Aware UTC.
        """
        local = at.astimezone(self.zone)
        if self.first <= local.hour < self.last:
            return at
        day = local.date() + dt.timedelta(days=local.hour >= self.last)
        return dt.datetime.combine(day, dt.time(self.first), self.zone).astimezone(dt.UTC)
