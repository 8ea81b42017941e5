"""Neural-network layers and losses, named as in PyTorch."""

from neurenix.nn import functional, init
from neurenix.nn.activations import LeakyReLU, ReLU, Sigmoid, SiLU, Softmax, Tanh
from neurenix.nn.layers import BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, Sequential
from neurenix.nn.losses import CrossEntropyLoss, MSELoss
from neurenix.nn.module import Module, Parameter

__all__ = [
    "BatchNorm2d", "Conv2d", "CrossEntropyLoss", "Dropout", "Flatten", "LeakyReLU", "Linear", "MSELoss",
    "MaxPool2d", "Module", "Parameter", "ReLU", "Sequential", "SiLU", "Sigmoid", "Softmax", "Tanh",
    "functional", "init",
]  # fmt: skip
