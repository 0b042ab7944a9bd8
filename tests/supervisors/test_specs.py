import math

import pytest

from supervisors import (
    BRUTAL_KILL,
    Backoff,
    ChildSpec,
    Context,
    Intensity,
    Mailbox,
    MailboxSpec,
    Overflow,
    Restart,
    Strategy,
    SupervisorSpec,
)


async def idle(ctx: Context[object]) -> None:
    ctx.started()
    await ctx.stop_requested.wait()


def child(id: str, **changes: object) -> ChildSpec[object]:
    return ChildSpec(id=id, start=idle, **changes)


def test_child_spec_gives_an_inner_supervisor_all_the_time_it_needs() -> None:
    inner = ChildSpec[object](id="inner", start=SupervisorSpec())
    worker = ChildSpec(id="worker", start=idle)
    assert (inner.start_timeout, inner.stop_timeout) == (math.inf, math.inf)
    assert (worker.start_timeout, worker.stop_timeout) == (15.0, 5.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": 7},
        {"id": "inner/a"},
        {"start": None},
        {"restart": "permanent"},
        {"stop_timeout": -1.0},
        {"stop_timeout": math.nan},
        {"stop_timeout": "brutal_kill"},
        {"start_timeout": -1.0},
        {"kill_timeout": -0.1},
    ],
)
def test_child_spec_refuses_impossible_values(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        ChildSpec(**{"id": "a", "start": idle, **wrong})


def test_child_spec_takes_a_brutal_kill() -> None:
    assert ChildSpec(id="a", start=idle, stop_timeout=BRUTAL_KILL).patience() == 0.0


def test_supervisor_spec_refuses_an_id_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        SupervisorSpec(children=(ChildSpec(id="a", start=idle), ChildSpec(id="a", start=idle)))


def test_supervisor_spec_refuses_one_mailbox_in_two_specs_of_the_tree() -> None:
    mailbox = Mailbox[object]()
    inner = SupervisorSpec(children=(ChildSpec(id="a", start=idle, mailbox=mailbox),))
    with pytest.raises(ValueError, match="mailbox"):
        SupervisorSpec(
            children=(
                ChildSpec[object](id="inner", start=inner),
                ChildSpec(id="b", start=idle, mailbox=mailbox),
            )
        )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strategy": "one_for_one"}, "strategy must be"),
        ({"stop_order": None}, "stop_order must be"),
        ({"auto_shutdown": "never"}, "auto_shutdown must be"),
        ({"max_starting": 0}, "max_starting must be at least 1"),
        ({"max_starting": 2, "strategy": Strategy.REST_FOR_ONE}, "restarts in order"),
        ({"max_starting": 2, "strategy": Strategy.ONE_FOR_ALL}, "restarts in order"),
        ({"max_children": 0}, "max_children"),
        ({"max_children": 1, "children": (child("a"), child("b"))}, "max_children"),
        (
            {"strategy": Strategy.SIMPLE_ONE_FOR_ONE, "children": (child("a"),)},
            "begins without children",
        ),
        (
            {"children": (child("a", restart=Restart.TEMPORARY, significant=True),)},
            "a is significant under a supervisor without auto_shutdown",
        ),
    ],
)
def test_supervisor_spec_names_what_is_impossible(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SupervisorSpec(**wrong)


def test_permanent_child_cannot_be_significant() -> None:
    with pytest.raises(ValueError, match="permanent and never ends for good"):
        child("a", significant=True)


def test_supervisor_spec_warns_where_the_limit_cannot_be_reached() -> None:
    with pytest.warns(UserWarning, match="never reached"):
        SupervisorSpec(intensity=Intensity(max_restarts=5, period=10.0), backoff=Backoff(base=5.0))


def test_supervisor_spec_takes_any_limit_where_restarts_are_immediate() -> None:
    spec = SupervisorSpec(backoff=Backoff(base=0.0), intensity=Intensity(max_restarts=10**12))
    assert spec.intensity.max_restarts == 10**12


def test_supervisor_spec_warns_about_a_child_with_its_own_limit() -> None:
    child = ChildSpec(id="a", start=idle, intensity=Intensity(max_restarts=9, period=60.0))
    with pytest.warns(UserWarning, match="never reached"):
        SupervisorSpec(children=(child,))


def test_mailbox_spec_needs_a_key_exactly_where_it_coalesces() -> None:
    with pytest.raises(ValueError, match="key"):
        MailboxSpec[object](overflow=Overflow.COALESCE)
    with pytest.raises(ValueError, match="key"):
        MailboxSpec[object](key=type)


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_mailbox_spec_refuses_impossible_counts(count: int) -> None:
    with pytest.raises(ValueError, match="capacity"):
        MailboxSpec[object](capacity=count)
    with pytest.raises(ValueError, match="poison_after"):
        MailboxSpec[object](poison_after=count)


def test_specs_of_one_value_are_equal() -> None:
    first = ChildSpec(id="a", start=idle, restart=Restart.TRANSIENT)
    assert first == ChildSpec(id="a", start=idle, restart=Restart.TRANSIENT)
    assert SupervisorSpec(strategy=Strategy.ONE_FOR_ALL).strategy is Strategy.ONE_FOR_ALL
