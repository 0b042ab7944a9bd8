"""Actors and supervision trees on Trio, after the model of Erlang/OTP.

Specs say what to run (`ChildSpec`, `SupervisorSpec`), a `Supervisor` runs it, a `Ref` sends to it,
an `ExitPolicy` judges its ends, `run_daemon` makes a Unix daemon of it. The public names are those
of this module and of `supervisors.testing`.
"""

from supervisors._actor import Actor, actor, startable
from supervisors._backoff import Backoff
from supervisors._child import (
    BRUTAL_KILL,
    AnyChildSpec,
    AutoShutdown,
    BrutalKill,
    Restart,
    StopOrder,
    Strategy,
)
from supervisors._context import Context, Delivery, Inbox, Promise, Restarted, Terminated, Watch
from supervisors._daemon import Notifier, run_daemon
from supervisors._events import (
    ChildExited,
    ChildReplaced,
    ChildStarted,
    DeadLetter,
    DeadLetterCause,
    Event,
    HealthChanged,
    Hook,
    LifeWithheld,
    LimitExceeded,
    MailboxHigh,
    RestartScheduled,
    StopTimedOut,
)
from supervisors._health import Health
from supervisors._intensity import Intensity
from supervisors._mailbox import Drain, MailboxSpec, MailboxStatistics, Overflow
from supervisors._policy import (
    Abandon,
    Escalate,
    ExitPolicy,
    OnLimit,
    ReplaceChild,
    RestartChild,
    RestartPolicy,
    Verdict,
)
from supervisors._ref import Ask, Mailbox, Ref
from supervisors._snapshot import ChildSnapshot, Counts, StoppedChild, StopReport, TreeSnapshot
from supervisors._specs import ActorFunction, ChildSpec, SupervisorSpec
from supervisors._states import ChildState, Exit, ExitKind, HealthState, Phase
from supervisors._supervisor import Supervisor
from supervisors.errors import (
    ActorError,
    ActorStopped,
    AskCycle,
    AskTimeout,
    ChildStateError,
    IgnoreStart,
    MailboxFull,
    NoSuchChild,
    RestartLimitExceeded,
    StartError,
    StopActor,
    SupervisionError,
    SupervisorStopping,
)

__all__ = [
    "BRUTAL_KILL",
    "Abandon",
    "Actor",
    "ActorError",
    "ActorFunction",
    "ActorStopped",
    "AnyChildSpec",
    "Ask",
    "AskCycle",
    "AskTimeout",
    "AutoShutdown",
    "Backoff",
    "BrutalKill",
    "ChildExited",
    "ChildReplaced",
    "ChildSnapshot",
    "ChildSpec",
    "ChildStarted",
    "ChildState",
    "ChildStateError",
    "Context",
    "Counts",
    "DeadLetter",
    "DeadLetterCause",
    "Delivery",
    "Drain",
    "Escalate",
    "Event",
    "Exit",
    "ExitKind",
    "ExitPolicy",
    "Health",
    "HealthChanged",
    "HealthState",
    "Hook",
    "IgnoreStart",
    "Inbox",
    "Intensity",
    "LifeWithheld",
    "LimitExceeded",
    "Mailbox",
    "MailboxFull",
    "MailboxHigh",
    "MailboxSpec",
    "MailboxStatistics",
    "NoSuchChild",
    "Notifier",
    "OnLimit",
    "Overflow",
    "Phase",
    "Promise",
    "Ref",
    "ReplaceChild",
    "Restart",
    "RestartChild",
    "RestartLimitExceeded",
    "RestartPolicy",
    "RestartScheduled",
    "Restarted",
    "StartError",
    "StopActor",
    "StopOrder",
    "StopReport",
    "StopTimedOut",
    "StoppedChild",
    "Strategy",
    "SupervisionError",
    "Supervisor",
    "SupervisorSpec",
    "SupervisorStopping",
    "Terminated",
    "TreeSnapshot",
    "Verdict",
    "Watch",
    "actor",
    "run_daemon",
    "startable",
]
