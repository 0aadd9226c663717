"""An old experiment on the old cache: the migrated file reads the same files and cuts windows of them."""

from __future__ import annotations

import numpy as np

from tsfm_core.config.loader import load_file
from tsfm_core.config.migrate import migrate
from tsfm_core.config.resolve import read_config
from tsfm_core.prepare import prepare

OLD = """\
model: {path: some/weights, context_length: 24, forecast_length: 6}
data:
  source_name: kaggle_brisT1D
  loader_type: cache
  y_feature: [bg_mM]
  x_features: [iob, hr_bpm, hour_sin]
  resolution_min: 5
  data_split: [0.7, 0.2]
  fewshot_percent: 10
"""


def test_the_old_cache_is_read_under_todays_names(tmp_path, monkeypatch):
    folder = tmp_path / "cache/data/kaggle_brisT1D/processed"
    folder.mkdir(parents=True)
    stamps = np.datetime64("2024-03-01T00:00", "m") + 5 * np.arange(400)
    for person in ("p01", "p02"):
        lines = ["datetime,p_num,bg_mM,hr_bpm,iob"]
        lines += [
            f"{str(at).replace('T', ' ')}:00,{person},{6 + n % 9 / 2},{60 + n % 7},{n % 5}"
            for n, at in enumerate(stamps)
        ]
        (folder / f"{person}_full.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "old.yaml").write_text(OLD)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.yaml").write_text(migrate(load_file(tmp_path / "old.yaml")).text())
    config = read_config(tmp_path / "new.yaml").config
    prepared = prepare(config, config.task, "train")
    assert prepared.panel.item_ids == ("p01", "p02")
    assert len(prepared.train) == 2 * int((280 - 24 - 6 + 1) * 0.1)
    last = prepared.train.take([-1])
    shown = last.inputs(slice(None))
    rows = np.arange(280 - 6 - 24, 280 - 6)
    np.testing.assert_allclose(shown.target[0], 6 + rows % 9 / 2)
    np.testing.assert_allclose(shown.past_covariates[0], np.stack([rows % 5, 60 + rows % 7], axis=1))
    minutes = 5.0 * np.arange(rows[0], rows[0] + 30)
    np.testing.assert_allclose(shown.known_covariates[0, :, 0], np.sin(2 * np.pi * minutes / 1440), atol=1e-6)
