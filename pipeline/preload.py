"""Heavy modules that the fork server imports once. Imports only: no TensorFlow operation runs here."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import apache_beam  # noqa: E402,F401
import pandas  # noqa: E402,F401
import pyarrow  # noqa: E402,F401
import sklearn.ensemble  # noqa: E402,F401
import tensorflow  # noqa: E402,F401
import tensorflow_data_validation  # noqa: E402,F401
import tensorflow_transform  # noqa: E402,F401
