"""Manifests of shards are merged in one order, whatever theirs."""

import pandas as pd
import pytest

from freetumor.core.errors import UserError
from freetumor.core.tables import MANIFEST, make_table, read_table, write_table
from freetumor.synthesis.manifests import merge_manifests


def test_a_bank_without_any_canvas_is_a_user_error(tmp_path):
    write_table(make_table([], MANIFEST), tmp_path / "a.parquet", MANIFEST)
    with pytest.raises(UserError, match="no canvas has an organ"):
        merge_manifests([tmp_path / "a.parquet"], tmp_path / "manifest.parquet")


def test_merging_sorts_by_case_and_draw(tmp_path, rows):
    pieces = [rows.iloc[::2].iloc[::-1], rows.iloc[1::2]]
    for index, piece in enumerate(pieces):
        write_table(piece, tmp_path / f"{index}.parquet", MANIFEST)
    merge_manifests([tmp_path / "0.parquet", tmp_path / "1.parquet"], tmp_path / "merged.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "merged.parquet", MANIFEST), rows)
