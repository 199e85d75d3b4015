"""Every file format that camera frames come in, behind one reader.

Start with `source.py`, what a reader promises; `open.py` chooses the reader of a file.
May import `runtime` and `camera`.
"""
