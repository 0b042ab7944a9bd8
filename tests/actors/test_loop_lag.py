"""Nothing that a poll does holds the event loop: the longest step of any task, in CPU time."""

import json
import random
import time

import attrs
import trio

from jobping.actors.poll import Poll
from jobping.core.walk import Complete
from jobping.sources.greenhouse import GREENHOUSE
from jobping.sources.source import with_base_url
from tests.actors.rig import Rig
from tests.doubles.fault_server import in_turn, open_fault_server, respond

LONGEST_S = 0.025
POSTINGS, WORDS = 200, 130


@attrs.define(eq=False)
class Steps(trio.abc.Instrument):
    """Notes the longest step in CPU time of the thread, so that other load does not count."""

    longest_s: float = 0.0
    where: str = ""
    _began: float = attrs.field(factory=time.thread_time)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took = time.thread_time() - self._began
        if took > self.longest_s:
            self.longest_s, self.where = took, task.name


def big_board(title: str = "Analyst") -> bytes:
    """Return a Greenhouse board of 1 MB with markup in its texts."""
    rng = random.Random(1)

    def text() -> str:
        words = (f"&lt;b&gt;{rng.randrange(10**9):x}&lt;/b&gt; &amp;amp;" for _ in range(WORDS))
        return f"&lt;p&gt;{' '.join(words)}&lt;/p&gt;"

    jobs = [
        {
            "id": id,
            "title": f"{title} {id}",
            "absolute_url": f"https://boards.example/jobs/{id}",
            "company_name": "Acme",
            "location": {"name": "Berlin, Germany"},
            "content": text(),
        }
        for id in range(POSTINGS)
    ]
    return json.dumps({"jobs": jobs, "meta": {"total": POSTINGS}}).encode()


async def test_board_of_a_megabyte_never_holds_the_loop(rig: Rig) -> None:
    new, changed = big_board(), big_board("Accountant")
    assert len(new) > 1_000_000
    answers = in_turn(*(respond(body, gzipped=True) for body in (new, new, changed)))
    async with open_fault_server(answers) as server, rig.open_ingest() as ingest:
        source = with_base_url(GREENHOUSE, server.url("").rstrip("/"))
        row = await rig.add_board(source)
        gate = await rig.loaded_gate(row.domain)
        last = None
        for counts in ((200, 0, 0), (0, 0, 200), (0, 200, 0)):
            poll = Poll(
                row=row,
                source=source,
                gate=gate,
                postings=rig.stores.postings,
                ingest=ingest.ref,
                last=last,
                news_after=None,
            )
            steps = Steps()
            trio.lowlevel.add_instrument(steps)
            assert await poll.run() == Complete()
            trio.lowlevel.remove_instrument(steps)
            last, tally = poll.answer, poll.tally
            assert (tally.new, tally.changed, tally.unchanged) == counts
            assert steps.longest_s < LONGEST_S, steps
