"""Programs that measure: accuracy, speed and memory, beside peers in the same run.

Imported by nobody.
"""
