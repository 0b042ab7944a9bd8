import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobping.core.countries import CITIES, COUNTRIES
from jobping.core.places import MAX_PLACES, country_code, distinct, place, places, says_remote
from jobping.core.posting import Location


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("London, UK", [("London", None, "GB")]),
        ("London, England, United Kingdom", [("London", None, "GB")]),
        ("Berlin", [("Berlin", None, "DE")]),
        ("Berlin, Berlin, Germany", [("Berlin", "Berlin", "DE")]),
        ("10178 Berlin", [("Berlin", None, "DE")]),
        ("München", [("München", None, "DE")]),
        ("Berlin, DE", [("Berlin", "DE", "DE")]),
        ("Wilmington, Delaware, United States", [("Wilmington", "Delaware", "US")]),
        ("New York, New York", [("New York", "New York", "US")]),
        ("Chicago, IL", [("Chicago", "IL", "US")]),
        ("Tel Aviv, IL", [("Tel Aviv", "IL", "IL")]),
        ("Toronto, ON, ca", [("Toronto", "ON", "CA")]),
        ("Washington, D.C.", [("Washington", "D.C.", "US")]),
        ("US, CA, Santa Clara", [("Santa Clara", "CA", "US")]),
        ("Atlanta, Georgia, United States", [("Atlanta", "Georgia", "US")]),
        ("Paris, France; Lyon, France", [("Paris", None, "FR"), ("Lyon", None, "FR")]),
        ("Munich or Berlin", [("Munich", None, "DE"), ("Berlin", None, "DE")]),
        ("Remote (US or Canada)", [(None, None, "US"), (None, None, "CA")]),
        (
            "Anywhere in France, Belgium, Spain",
            [(None, None, "FR"), (None, None, "BE"), (None, None, "ES")],
        ),
        ("Remote - New Zealand", [(None, None, "NZ")]),
        ("Remote-Germany", [(None, None, "DE")]),
        ("Remote in NYC", [("NYC", None, "US")]),
        ("Lithuania - Remote", [(None, None, "LT")]),
        ("Remote EMEA", [(None, "EMEA", None)]),
        ("Europe", [(None, "Europe", None)]),
        ("Anywhere", [(None, "Anywhere", None)]),
        ("European union", [(None, "European union", None)]),
        ("Singapore", [(None, None, "SG")]),
        ("Milan / Rome", [("Milan", None, "IT"), ("Rome", None, "IT")]),
        ("Barcelona, Spain (Hybrid)", [("Barcelona", None, "ES")]),
    ],
)
def test_places_reads_what_a_text_says(text, expected):
    assert [(found.city, found.region, found.country) for found in places(text)] == expected


@pytest.mark.parametrize(
    "text", ["Remote", "Fully Remote", "Remote job", "Remote-Georgia", "Campinas, SP", "HQ"]
)
def test_places_leaves_the_country_unknown_when_the_text_does_not_name_it(text):
    assert [found.country for found in places(text)] == [None]


def test_places_keeps_the_raw_text_and_drops_repeats_and_blanks():
    found = places(" Berlin ", None, "", "Berlin")
    assert found == (Location(raw="Berlin", city="Berlin", country="DE"),)


def test_place_lets_the_parts_win_over_the_text():
    assert place("Remote job", city="Malta", country="MT") == (
        Location(raw="Remote job", city="Malta", country="MT"),
    )


def test_place_joins_the_parts_when_there_is_no_text():
    assert place(None, city="Toronto", region="ON", country="ca") == (
        Location(raw="Toronto, ON, ca", city="Toronto", region="ON", country="CA"),
    )


def test_place_ignores_a_group_sent_as_city_and_a_group_sent_as_country():
    assert place("Remote EMEA", city="EMEA", country="European Union") == (
        Location(raw="Remote EMEA", region="EMEA"),
    )


def test_place_believes_a_text_that_names_several_places():
    found = place("Paris, France; Bordeaux, France", city="Paris", country="France")
    assert [where.city for where in found] == ["Paris", "Bordeaux"]


def test_place_is_empty_when_nothing_is_said():
    assert place(" ", city="", country=None) == ()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Germany", "DE"),
        ("Deutschland", "DE"),
        ("de", "DE"),
        ("UK", "GB"),
        ("United States", "US"),
        ("USA", "US"),
        ("U.S.A.", "US"),
        ("France, Metropolitan", "FR"),
        ("Türkiye", "TR"),
        ("European Union", None),
        ("XX", None),
        ("", None),
        (None, None),
    ],
)
def test_country_code_knows_names_and_codes_but_no_groups(text, code):
    assert country_code(text) == code


def test_says_remote_wants_the_whole_word():
    assert says_remote("Remote (EU)")
    assert says_remote("Lithuania - REMOTE")
    assert not says_remote("Remoteness Island")


def test_distinct_keeps_at_most_the_limit_in_order():
    many = [Location(raw=str(number)) for number in range(2 * MAX_PLACES)]
    assert distinct(many) == tuple(many[:MAX_PLACES])


def test_country_tables_are_folded_and_name_two_letter_codes():
    for table in (COUNTRIES, CITIES):
        assert all(name == name.casefold() and "." not in name for name in table)
        assert all(len(code) == 2 and code.isupper() for code in table.values())
    assert set(CITIES.values()) <= set(COUNTRIES.values())


@given(st.text(max_size=200), st.text(max_size=40) | st.none(), st.text(max_size=40) | st.none())
def test_places_never_fail_and_are_never_without_raw_text(text, city, country):
    for found in (*places(text), *place(text, city=city, country=country)):
        assert found.raw
        assert found.country is None or found.country in COUNTRIES.values()
    assert places(text) == places(text)


def test_place_takes_no_country_for_a_region_of_the_same_letters():
    assert place(None, city="Utrecht", country="NL") == (
        Location(raw="Utrecht, NL", city="Utrecht", country="NL"),
    )
    assert place("", country="Canada", city="St. Johns", region="NL")[0].region == "NL"


def test_anywhere_in_the_world_is_no_city():
    assert places("Anywhere in the World") == (
        Location(raw="Anywhere in the World", region="World"),
    )
