"""The network: model, samples, training, weights.

Start with `model.py`, what it sees and answers; `training_run.py` is one training. All that needs PyTorch is here
and in `src/spot_classifier`.
"""
