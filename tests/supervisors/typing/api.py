"""The API as users' code has it, read by mypy and never run.

Each `type: ignore` marks what must be refused: where it is accepted, mypy calls the comment unused.
"""

from functools import partial
from typing import assert_never, assert_type

import attrs
import trio

from supervisors import (
    Actor,
    Ask,
    ChildSpec,
    Context,
    Mailbox,
    MailboxSpec,
    Overflow,
    Ref,
    Supervisor,
    SupervisorSpec,
    actor,
    startable,
)


@attrs.frozen
class Deposit:
    amount: int


@attrs.frozen
class Balance(Ask[int]):
    account: str


@attrs.frozen
class Close(Ask[None]):
    pass


@attrs.frozen
class Stranger(Ask[str]):
    pass


Message = Deposit | Balance | Close


async def bank(ctx: Context[Message]) -> None:
    """Serve all messages: a forgotten one is an error at `assert_never`."""
    ctx.started()
    total = 0
    async for delivery in ctx.inbox:
        match delivery.message:
            case Deposit(amount=amount):
                total += amount
            case Balance():
                delivery.reply(total)
            case Close():
                delivery.reply(None)
            case _:
                assert_never(delivery.message)


async def use(ref: Ref[Message]) -> None:
    """Send what the actor takes, and what it does not."""
    ref.tell(Deposit(1))
    await ref.put(Deposit(1))
    assert_type(await ref.ask(Balance("a")), int)
    assert_type(await ref.ask(Close(), within=1.0), None)
    ref.tell(Stranger())  # type: ignore[arg-type]  # must be refused
    ref.tell("text")  # type: ignore[arg-type]  # must be refused
    await ref.put(7)  # type: ignore[arg-type]  # must be refused
    await ref.ask(Deposit(1))  # type: ignore[arg-type]  # must be refused


def narrow(ref: Ref[Message]) -> Ref[Deposit]:
    """A ref that takes more may stand where one is wanted that takes less."""
    return ref


def widen(ref: Ref[Deposit]) -> Ref[Message]:
    """The reverse is refused."""
    return ref  # type: ignore[return-value]  # must be refused


async def grow(root: Supervisor) -> None:
    """A dynamic child gives a ref of its own message type."""
    assert_type(await root.start_child(ChildSpec(id="bank", start=bank)), Ref[Message])


def compose(mailbox: Mailbox[Message], other: Mailbox[Stranger]) -> SupervisorSpec:
    """A mailbox fits the actor that takes its messages, and no other."""
    ChildSpec(id="bad", start=bank, mailbox=other)  # type: ignore[arg-type]  # must be refused
    return SupervisorSpec(
        children=(
            ChildSpec(id="bank", start=bank, mailbox=mailbox),
            ChildSpec[object](id="inner", start=SupervisorSpec()),
            ChildSpec[object](id="web", start=startable(partial(trio.serve_tcp, port=0), echo)),
        )
    )


async def echo(stream: trio.SocketStream) -> None:
    """Serve a connection."""
    async for chunk in stream:
        await stream.send_all(chunk)


class Teller(Actor[Message]):
    """The class form takes the same messages."""

    async def receive(self, message: Message) -> int:
        """Answer every one with a number."""
        return 0


TELLER = ChildSpec(id="teller", start=actor(Teller), mailbox=Mailbox[Message]())
MERGING = MailboxSpec[Message](overflow=Overflow.COALESCE, key=type)
