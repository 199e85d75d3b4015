"""What every stage runs on: errors, options, settings, whole files, worker processes.

Knows nothing of electrons. Start with `errors.py`: how a fault becomes one line and an exit status. Imports no other
room.
"""
