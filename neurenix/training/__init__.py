"""Training: `fit`, its callbacks, metrics, checkpoints and history."""

from neurenix.threads import one_blas_thread
from neurenix.training.callbacks import BestWeights, Callback, EarlyStopping
from neurenix.training.checkpoint import Checkpoint
from neurenix.training.history import History
from neurenix.training.loop import evaluate, fit
from neurenix.training.metrics import F1, Accuracy, MeanAbsoluteError, MeanSquaredError, Metric, TopKAccuracy
from neurenix.training.run import Run
from neurenix.training.trained import Trained

__all__ = [
    "Accuracy", "BestWeights", "Callback", "Checkpoint", "EarlyStopping", "F1", "History", "MeanAbsoluteError",
    "MeanSquaredError", "Metric", "Run", "TopKAccuracy", "Trained", "evaluate", "fit", "one_blas_thread",
]  # fmt: skip
