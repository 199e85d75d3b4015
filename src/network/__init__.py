"""The network: model, samples, training, weights.

Start with `model.py`, what it sees and answers. `training_run.py` is one training: it asks `source.py` for samples,
`start.py` for a network to begin with, and `loop.py` for the epochs, which are made of `training_step.py`. The
published network, for comparison, is `matrix_net.py`, and its samples come from `matrix_source.py`. All that needs
PyTorch is here and in `src/spot_classifier`, whose training runs through the same loop.
"""
