"""The wire format of tf.Example, as far as encoder and decoder share it.

Source: tensorflow/core/example/{example,feature}.proto; protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import numpy as np

#: Field numbers in `Feature`, as wire tags (number << 3 | 2).
BYTES, FLOAT, INT = 0x0A, 0x12, 0x1A
ENTRY, KEY, VALUE = 0x0A, 0x0A, 0x12
VARINT_BYTES = 10


def varint(number: int) -> bytes:
    """A number >= 0 as a minimal varint."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def varint_widths(numbers: np.ndarray) -> np.ndarray:
    """Bytes of each number as a minimal varint, 1 to 10. Shape [row]."""
    widths = np.ones(len(numbers), dtype=np.int64)
    for byte in range(1, VARINT_BYTES):
        widths += numbers >> np.uint64(7 * byte) != 0
    return widths
