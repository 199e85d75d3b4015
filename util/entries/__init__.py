"""What a laboratory has besides camera frames: accumulated images and lists of events, in the formats they come in.

Start with `image_file.py`, which reads an image, and `event_file.py`, which streams events; `noise_law.py` learns from
an image how many counts an electron adds, `polarisation_axis.py` where its polarisation lies. May import `runtime` and
`physics`.
"""
