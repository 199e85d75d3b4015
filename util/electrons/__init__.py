"""From a file of frames to its electrons: shards, and the hits that they hold together.

Start with `search.py`; `shards.py` is the file format in which all later stages find their data, `hits.py` what they
read of it. May import `finder` and the floors below.
"""
