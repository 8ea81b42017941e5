"""Learning-rate schedules, where PyTorch has them: `optim.lr_scheduler`."""

from neurenix.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR
from neurenix.optim.lr_scheduler.one_cycle import OneCycleLR
from neurenix.optim.lr_scheduler.plateau import ReduceLROnPlateau
from neurenix.optim.lr_scheduler.scheduler import LRScheduler
from neurenix.optim.lr_scheduler.schedules import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    StepLR,
)

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "ExponentialLR", "LRScheduler", "LambdaLR", "LinearLR",
    "MultiStepLR", "OneCycleLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip
