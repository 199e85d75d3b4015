"""The phosphor screen and the camera: what one electron's light looks like in a frame.

`phosphor.py` renders spots by the published recipe, by the loops in `spot_rendering.py`; `imperfections.py` says what
sets a real detector apart; `detector.py` describes a camera as it was learnt from its frames; `exposure.py` takes the
frames of any. Start with `phosphor.py`. Imports no other room.
"""
