"""Thin shells around the rules: each receives or waits, asks a rule, does the I/O, and sends."""
