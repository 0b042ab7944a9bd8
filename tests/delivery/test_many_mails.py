"""Many digests due at once go out through the real way at the pace that is set, none twice."""

import time

import pytest
import trio
from outgoing import ID, item, outgoing

from jobping.core.digest import Digest
from jobping.core.digest_html import render_html
from jobping.core.digest_text import render_text
from jobping.core.digest_view import DigestView
from jobping.delivery.smtp import SmtpDelivery
from tests.doubles.certificates import Certificates
from tests.doubles.mail_server import mail_server

MOST_CPU_S = 0.02
"""For one mail, in our thread; a loaded machine included."""


def digest() -> Digest:
    """Ten postings, as they are by default."""
    view = DigestView(
        subject="10 jobs for berlin",
        headline="10 jobs for berlin",
        day="12 Nov 2026",
        notes=(),
        items=(item(),) * 10,
        profile="berlin",
        watched=("All 12 sites answered.",),
        schedule="every day at 08:00",
    )
    return Digest(subject=view.subject, text=render_text(view), html=render_html(view))


@pytest.mark.parametrize(
    ("count", "per_minute"), [(60, 1_800), pytest.param(5_000, 3_000, marks=pytest.mark.slow)]
)
async def test_many_digests_leave_in_the_time_that_the_pace_says(count, per_minute, capsys) -> None:
    own = Certificates()
    with mail_server(tls=own.server("localhost")) as server:
        relay = server.relay(per_minute=per_minute)
        way = SmtpDelivery(relay=relay, tls=own.client)
        content, turns = digest(), 0

        async def turn() -> None:
            nonlocal turns
            while True:
                await trio.sleep(0.01)
                turns += 1

        began, cpu = time.monotonic(), time.thread_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(turn)
            for number in range(count):
                id = f"{number:08d}{ID[8:]}"
                await way.wait_turn()
                await way.send(outgoing(message_id=id, digest=content))
            nursery.cancel_scope.cancel()
        took_s, cpu_s = time.monotonic() - began, time.thread_time() - cpu
        way.close()

    with capsys.disabled():
        print(
            f"\n{count} mails in {took_s:.1f} s, by the pace {60 * count / per_minute:.1f} s; "
            f"{1000 * cpu_s / count:.2f} ms of CPU each"
        )
    assert len(server.mails) == len(set(server.ids)) == count
    assert server.connections == -(-count // 100)
    assert took_s > 60 * (count - per_minute // 60 - 1) / per_minute
    assert took_s < 1.3 * 60 * count / per_minute + 5
    assert cpu_s / count < MOST_CPU_S
    assert turns > took_s * 5
