"""JobPing: a job-alert daemon that never goes dark, never gets banned and never overspends.

The packages, upstream to downstream: `sources` (what a board is asked and how its answer is read),
`fetch` (the one HTTP client), `store` (PostgreSQL), `delivery` (digests out), `actors` (the thin
shells around the pure rules in `core`), and `daemon` (the composition root of `jobping run`).
"""
