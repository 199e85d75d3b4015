"""The answer as files, and what finding electrons adds to it.

Start with `final_h5.py`, the file; `export.py` hands it on as CSV and JSON, `finder_bias.py` measures the finder's bias
in simulation, `prior.py` makes an answer the prior of a network. May import `electrons`, `simulation`, `summed` and the
floors below.
"""
