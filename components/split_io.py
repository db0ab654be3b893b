"""The only place that knows `Split-<name>`, TFRecord framing and tf.Example encoding.

Tables go in and come out flat (decision 1); list-typed columns exist only inside.
"""

from __future__ import annotations
