"""Readers of the event stream: they write nothing into the daemon, and no line can harm them.

`stream` turns the journal, a file or a pipe into events.
"""
