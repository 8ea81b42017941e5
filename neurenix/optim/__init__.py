"""Optimisers, learning-rate schedules (`lr_scheduler`) and gradient clipping, named as in PyTorch."""

from neurenix.optim import lr_scheduler
from neurenix.optim.adagrad import Adagrad
from neurenix.optim.adam import Adam, AdamW
from neurenix.optim.clipping import clip_grad_norm_, clip_grad_value_
from neurenix.optim.optimizer import Optimizer
from neurenix.optim.rmsprop import RMSprop
from neurenix.optim.sgd import SGD

__all__ = [
    "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "SGD", "clip_grad_norm_", "clip_grad_value_", "lr_scheduler",
]  # fmt: skip
