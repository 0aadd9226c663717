"""Simulate one block of people: ``python -m tsfm_glucose.population FILE.npy '{"numbers": [1, 2], ...}'``."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd

from tsfm_glucose.population.simulate import simulate_people

if __name__ == "__main__":
    path, asked = sys.argv[1], json.loads(sys.argv[2])
    for name in ("bodies", "advice"):
        asked[name] = pd.read_csv(asked[name], index_col=0)
    np.save(path, simulate_people(**asked))
