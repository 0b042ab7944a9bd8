"""Actors and supervision trees on Trio, after the model of Erlang/OTP.

Specs say what to run (`ChildSpec`, `SupervisorSpec`), a `Supervisor` runs it, a `Ref` sends to it,
an `ExitPolicy` judges its ends, `run_daemon` makes a Unix daemon of it. The public names are those
of this module and of `supervisors.testing`.
"""
