"""Heavy modules that the fork server imports once. Imports only: no TensorFlow operation runs here."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import apache_beam  # noqa: F401
import pandas  # noqa: F401
import pyarrow  # noqa: F401
import sklearn.ensemble  # noqa: F401
import tensorflow  # noqa: F401
import tensorflow_data_validation  # noqa: F401
import tensorflow_transform  # noqa: F401

# A million objects that stay: each process would look through them at every full collection, and copy
# the pages on which it marks them. Python's documentation of `gc.freeze` asks for it before a fork.
gc.collect()
gc.freeze()
