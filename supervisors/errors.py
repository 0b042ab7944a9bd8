"""What supervision can tell its callers, and what an actor may raise to say how it ends."""

from supervisors._states import ChildState, Exit


class SupervisionError(Exception):
    """The root of every error of this package; never raised itself."""


class StartError(SupervisionError):
    """A child did not become ready; what was started before it has been stopped again.

    Attributes:
        path: The child that failed.
        exit: How its start ended.
    """

    def __init__(self, path: str, exit: Exit) -> None:
        super().__init__(f"{path} failed to start: {exit.error or exit.kind.value}")
        self.path = path
        self.exit = exit


class RestartLimitExceeded(SupervisionError):
    """A supervisor gave up; its children are stopped.

    Attributes:
        path: The supervisor.
        child: The id of the child whose end led to it.
        reason: Why, for the operator.
    """

    def __init__(self, path: str, child: str, reason: str) -> None:
        super().__init__(f"{path} gave up over {child}: {reason}")
        self.path = path
        self.child = child
        self.reason = reason


class SupervisorStopping(SupervisionError):
    """The supervisor takes no more requests: it is stopping, has ended, or does not run yet."""


class NoSuchChild(SupervisionError):
    """The supervisor has no child of that id."""


class ChildStateError(SupervisionError):
    """The child is in the wrong state for the request.

    Attributes:
        id: The child.
        state: The state it is in.
    """

    def __init__(self, id: str, state: ChildState) -> None:
        super().__init__(f"child {id} is {state.value}")
        self.id = id
        self.state = state


class MailboxFull(SupervisionError):
    """The message was refused or dropped for want of room.

    Attributes:
        path: Whose mailbox.
        state: What the owner is doing: a full mailbox of a RESTARTING actor is no sign of load.
    """

    def __init__(self, path: str, state: ChildState) -> None:
        super().__init__(f"mailbox of {path} is full; the actor is {state.value}")
        self.path = path
        self.state = state


class ActorStopped(SupervisionError):
    """The actor has ended for good, or is about to, and takes no more messages.

    Attributes:
        path: The actor.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is stopped")
        self.path = path


class AskTimeout(SupervisionError):
    """No answer within the time that the asker gave.

    Attributes:
        path: The actor that was asked.
        within: The seconds it was given.
    """

    def __init__(self, path: str, within: float) -> None:
        super().__init__(f"{path} did not answer within {within:g} s")
        self.path = path
        self.within = within


class AskCycle(SupervisionError):
    """The asked actor waits for the asker, or is the asker: no answer could ever come."""


class ActorError(SupervisionError):
    """The actor crashed with the question in its hands; `__cause__` is its error.

    Attributes:
        path: The actor.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} crashed before it answered")
        self.path = path


class StopActor(Exception):
    """Raised by an actor to end as if it had been asked to stop.

    Attributes:
        reason: Why, for the exit.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class IgnoreStart(Exception):
    """Raised by an actor before it is ready: it has nothing to do, and that is no failure."""
