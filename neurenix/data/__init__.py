"""Data sets, batches of them, and readers of the usual files."""

from neurenix.data.csv_table import Table, read_csv
from neurenix.data.dataset import Dataset, Subset, TensorDataset, random_split
from neurenix.data.image_folder import ImageFolder
from neurenix.data.loader import DataLoader, collate
from neurenix.data.npz import read_npz

__all__ = [
    "DataLoader", "Dataset", "ImageFolder", "Subset", "Table", "TensorDataset", "collate", "random_split", "read_csv",
    "read_npz",
]  # fmt: skip
