"""What becomes of the missing cells of stored rows: decided first, applied while splits are written."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclasses.dataclass(frozen=True)
class FillPlan:
    """Rows to leave out, and values to put in.

    Attributes:
      dropped: Ids of rows that are not stored. Ascending, int64.
      fills: Feature -> ids of rows (ascending, int64) and the values for them; memory is that of the cells
        that are filled.
    """

    dropped: np.ndarray
    fills: dict[str, tuple[np.ndarray, np.ndarray]]

    def stays(self, ids: np.ndarray) -> np.ndarray:
        """Whether each row is stored. Shape [row], bool."""
        return ~_found(self.dropped, ids)[0]

    def apply(self, ids: np.ndarray, table: pa.Table) -> pa.Table:
        """The rows with values put in.

        Args:
          ids: Of the table's rows. Shape [row].
          table: With the features' columns.
        """
        for name, (places, values) in self.fills.items():
            hit, where = _found(places, ids)
            if not hit.any():
                continue
            index = table.schema.get_field_index(name)
            field = table.schema.field(index)
            column = table.column(index).combine_chunks()
            if isinstance(column, pa.ChunkedArray):  # pyarrow gives one back where there is no chunk to join
                column = pa.concat_arrays(column.chunks)
            put = values[where[hit]]
            if pa.types.is_integer(field.type):
                put = put.astype(np.int64)
            column = pc.replace_with_mask(column, pa.array(hit), pa.array(put, field.type))
            table = table.set_column(index, field, column)
        return table


def _found(places: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each id is among the ascending places, and where."""
    where = np.searchsorted(places, ids)
    hit = where < len(places)
    hit[hit] = places[where[hit]] == ids[hit]
    return hit, where
