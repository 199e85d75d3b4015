"""The network: model, samples, training, weights.

Start with `model.py`, what it sees and answers; `trainer.py` is one training run. All that needs PyTorch is here and in
`src/spot_classifier`.
"""
