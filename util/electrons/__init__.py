"""From a file of frames to its electrons, or from imported data: shards, and the hits that they hold together.

Start with `search.py`; `shards.py` is the file format in which all later stages find their data, `hits.py` what they
read of it. `imported_image.py` and `imported_events.py` make shards of what has no frames. May import `finder`
and the floors below.
"""
