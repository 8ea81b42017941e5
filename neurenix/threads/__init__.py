"""How many threads eager operations run in, and how their work is shared out so that answers do not depend on it."""

from neurenix.threads.blas import BlasThreads, blas_threads, held_blas, one_blas_thread
from neurenix.threads.buffers import empty
from neurenix.threads.pool import each, get_num_threads, set_num_threads

__all__ = [
    "BlasThreads", "blas_threads", "each", "empty", "get_num_threads", "held_blas", "one_blas_thread",
    "set_num_threads",
]  # fmt: skip
