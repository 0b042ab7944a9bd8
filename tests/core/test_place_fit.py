import pytest

from jobping.core.fit import Finding, Fit
from jobping.core.place_fit import judge_place, place_wish, read_place, read_places
from jobping.core.places import places
from jobping.core.posting import Remote


def judged(wanted: str, place: str, remote: Remote = Remote.UNKNOWN) -> Finding:
    found = tuple(read_place(location) for location in places(place))
    return judge_place(place_wish(wanted.split("|")), found, remote)


def yes(note: str) -> Finding:
    return Finding(fit=Fit.YES, note=note)


def maybe(note: str) -> Finding:
    return Finding(fit=Fit.MAYBE, note=note)


def no(name: str) -> Finding:
    return Finding(fit=Fit.NO, note=f"{name} is outside of the places wanted")


@pytest.mark.parametrize(
    ("wanted", "place", "finding"),
    [
        ("Europe", "Berlin, Germany", yes("Berlin is in Europe")),
        ("Europe", "London", yes("London is in Europe")),
        ("EU", "London", no("London")),
        ("EEA", "Oslo", yes("Oslo is in EEA")),
        ("DACH", "Wien", yes("Wien is in DACH")),
        ("Benelux", "Paris, France", no("Paris")),
        ("Nordics", "Helsinki", yes("Helsinki is in Nordics")),
        ("DE", "Köln", yes("Köln is in DE")),
        ("Deutschland", "Germany", yes("Germany is in Deutschland")),
        ("España", "Madrid, Spain", yes("Madrid is in España")),
        ("Munich", "München, Deutschland", yes("in Munich")),
        ("Berlin", "Munich, Germany", no("Munich")),
        ("Berlin", "Germany", maybe("place unclear (Germany)")),
        ("Europe", "Milwaukee, Wisconsin", no("Milwaukee")),
        ("Europe", "Remote, US", no("Remote, US")),
        ("Europe", "LATAM", no("LATAM")),
        ("Europe", "EMEA", yes("in EMEA")),
        ("Europe", "Anywhere", yes("open to people anywhere")),
        ("Europe", "Remote", maybe("remote, region not stated")),
        ("Europe", "Level 5, Building Q", maybe("place unclear (Level 5, Building Q)")),
        ("Europe", "San Francisco; Dublin, Ireland", yes("Dublin is in Europe")),
        ("Worldwide", "Tokyo, Japan", yes("")),
        ("Springfield", "Springfield", yes("in Springfield")),
    ],
)
def test_place_is_judged_by_country_group_and_city(wanted, place, finding):
    assert judged(wanted, place) == finding


@pytest.mark.parametrize(
    ("wanted", "place", "finding"),
    [
        ("Germany", "EU", yes("remote within EU")),
        ("Berlin", "Germany", yes("remote within Germany")),
        ("Berlin", "Europe", yes("remote within Europe")),
        ("Germany", "San Francisco, California", no("San Francisco")),
        ("Germany", "", maybe("remote, region not stated")),
    ],
)
def test_remote_work_counts_within_its_region_only(wanted, place, finding):
    assert judged(wanted, place, Remote.YES) == finding


def test_group_that_only_shares_a_country_is_unclear_for_work_on_site():
    assert judged("Germany", "EMEA", Remote.NO) == maybe("place unclear (EMEA)")


def test_posting_without_places_is_unknown():
    assert judged("Europe", "") == maybe("place not stated")


def test_hostile_place_is_shown_on_one_short_line():
    finding = judged("Europe", "Xyz\u202e" + "q" * 250)

    assert finding.fit is Fit.MAYBE
    assert len(finding.note) < 70
    assert "\u202e" not in finding.note


@pytest.mark.parametrize(
    ("title", "raws", "expected"),
    [
        ("Account Executive (USA)", ["Remote"], Fit.NO),
        ("Account Executive - US", ["Remote"], Fit.NO),
        ("Engineer (Remote, Latin America)", [], Fit.NO),
        ("Engineer (Remote, Germany or Japan)", ["Remote"], Fit.YES),
        ("Engineer - EMEA", ["Remote"], Fit.YES),
        ("Account Executive (USA)", ["Berlin, Germany"], Fit.YES),
        ("Account Executive (USA)", ["Zorgville"], Fit.MAYBE),
        ("Manager, IT", ["Remote"], Fit.MAYBE),
        ("Partner, HR", [], Fit.MAYBE),
        ("Teacher of Japanese", [], Fit.MAYBE),
    ],
)
def test_country_in_a_title_counts_where_the_places_say_nothing(title, raws, expected):
    found = read_places(places(*raws), title)
    assert judge_place(place_wish(["Germany"]), found, Remote.YES).fit is expected
