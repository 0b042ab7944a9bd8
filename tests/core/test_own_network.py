"""Our own network: lost only when many domains fail at once, and then probed by one at a time."""

import itertools

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobping.core.ids import Domain, Monotonic
from jobping.core.network import (
    Lost,
    Network,
    NetworkRules,
    Regained,
    admit,
    give_back,
    record,
    vendor_of,
)

RULES = NetworkRules()
A, B, C, D = (Domain(f"{letter}.example") for letter in "abcd")


def at(seconds: float) -> Monotonic:
    return Monotonic(seconds)


def down(now: float = 0.0) -> Network:
    network = Network()
    for domain in (A, B, C):
        network, change = record(network, RULES, at(now), domain, is_lost=True)
    assert change == Lost((A, B, C))
    return network


def test_two_domains_that_cannot_be_looked_up_are_their_own_fault() -> None:
    network = Network()
    for number in range(20):
        domain = (A, B)[number % 2]
        network, change = record(network, RULES, at(number), domain, is_lost=True)
        assert change is None
    assert admit(network, RULES, at(20))[1] is None


def test_three_hosts_of_one_vendor_are_its_own_fault() -> None:
    network = Network()
    for number in range(9):
        domain = Domain(f"company-{number}.jobs.vendor.example")
        network, change = record(network, RULES, at(number), domain, is_lost=True)
        assert change is None
    network, _ = record(network, RULES, at(10), Domain("a.test"), is_lost=True)
    network, change = record(network, RULES, at(10), Domain("b.test"), is_lost=True)
    assert isinstance(change, Lost)


@pytest.mark.parametrize(
    ("domain", "vendor"),
    [
        ("acme.jobs.vendor.example", "vendor.example"),
        ("vendor.example:8080", "vendor.example"),
        ("localhost:1", "localhost:1"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("[::1]:1", "[::1]:1"),
    ],
)
def test_hosts_of_a_vendor_share_the_end_of_their_names(domain: str, vendor: str) -> None:
    assert vendor_of(Domain(domain)) == vendor


def test_three_domains_are_no_evidence_while_half_of_all_attempts_succeed() -> None:
    network = Network()
    for number, domain in enumerate((A, B, C)):
        network, _ = record(network, RULES, at(number), D, is_lost=False)
        network, change = record(network, RULES, at(number), domain, is_lost=True)
        assert change is None
    network, change = record(network, RULES, at(3), A, is_lost=True)
    assert change == Lost((A, B, C))


def test_failures_older_than_the_window_do_not_count() -> None:
    network, _ = record(Network(), RULES, at(0), A, is_lost=True)
    network, _ = record(network, RULES, at(0), B, is_lost=True)
    network, change = record(network, RULES, at(60), C, is_lost=True)
    assert change is None
    assert [attempt.domain for attempt in network.attempts] == [C]


def test_one_domain_at_a_time_probes_a_lost_network_at_growing_distances() -> None:
    network, now, probes = down(), 0.0, []
    for _ in range(8):
        network, until = admit(network, RULES, at(now))
        if until is not None:
            now = until
            network, until = admit(network, RULES, at(now))
        assert until is None
        probes.append(now)
        again, other = admit(network, RULES, at(now))
        assert again == network
        assert other == now + RULES.probe_within_s
        network, _ = record(network, RULES, at(now), A, is_lost=True)
    gaps = [later - earlier for earlier, later in itertools.pairwise(probes)]
    assert probes[0] == 30
    assert gaps == [60, 120, 240, 480, 900, 900, 900]


def test_any_answer_brings_the_network_back_with_a_clean_slate() -> None:
    network, _ = admit(down(), RULES, at(30))
    network, change = record(network, RULES, at(31), B, is_lost=False)
    assert change == Regained(B)
    assert network == Network()


def test_late_failure_of_a_request_sent_before_the_loss_is_no_failed_probe() -> None:
    network = down()
    after, change = record(network, RULES, at(1), D, is_lost=True)
    assert (after, change) == (network, None)


def test_probe_that_was_not_sent_leaves_the_turn_to_the_next() -> None:
    network, _ = admit(down(), RULES, at(30))
    assert admit(give_back(network), RULES, at(30))[1] is None


def test_probe_without_a_result_counts_as_failed() -> None:
    network, _ = admit(down(), RULES, at(30))
    assert admit(network, RULES, at(89))[1] == 90
    network, until = admit(network, RULES, at(90))
    assert until == 90 + 60
    assert network.probes == 1


@settings(max_examples=1_000, derandomize=True, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.floats(0, 100, allow_nan=False), st.sampled_from([A, B, C, D]), st.booleans()),
        max_size=40,
    )
)
def test_network_is_lost_exactly_by_its_definition(
    steps: list[tuple[float, Domain, bool]],
) -> None:
    network, now, attempts = Network(), 0.0, list[tuple[float, Domain, bool]]()
    for pause, domain, is_lost in steps:
        now += pause
        network, change = record(network, RULES, at(now), domain, is_lost=is_lost)
        attempts = [attempt for attempt in attempts if now - attempt[0] < 60]
        attempts.append((now, domain, is_lost))
        lost = [attempt for attempt in attempts if attempt[2]]
        is_down = len({attempt[1] for attempt in lost}) >= 3 and len(lost) * 2 > len(attempts)
        assert isinstance(change, Lost) == is_down
        if is_down:
            return


@settings(max_examples=1_000, derandomize=True, deadline=None)
@given(steps=st.lists(st.tuples(st.floats(0, 2_000), st.integers(0, 3)), max_size=60))
def test_no_two_probes_of_a_lost_network_are_out_at_once_nor_too_near(
    steps: list[tuple[float, int]],
) -> None:
    network, now = down(), 0.0
    begun, is_out = 0.0, False
    for pause, what in steps:
        now += pause
        if what == 0 and is_out:
            network, _ = record(network, RULES, at(now), A, is_lost=True)
            is_out = False
            continue
        network, until = admit(network, RULES, at(now))
        if until is None:
            assert not is_out or now - begun >= RULES.probe_within_s
            assert now - begun >= RULES.probe_s
            begun, is_out = now, True
        else:
            assert now < until <= now + RULES.longest_s
    assert network.is_down


def test_rules_are_those_of_the_breaker_for_the_open_times() -> None:
    assert attrs.asdict(RULES)["probe_s"] == 30.0
    assert attrs.asdict(RULES)["longest_s"] == 900.0
