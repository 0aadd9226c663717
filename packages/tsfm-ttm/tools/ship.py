"""Put a trained checkpoint into the package, from the repository root: ``python packages/tsfm-ttm/tools/ship.py RUN``.

The run's best checkpoint is copied; its size and hash are written into ``card.json``, whose words stay as they are.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

from safetensors.numpy import load_file

FOLDER = Path(__file__).parents[1] / "src/tsfm_ttm/checkpoints/ttm_cgm"
MOST = 5_000_000


def main(run: Path) -> None:
    """Copy the best checkpoint of a run and bring the card up to date."""
    best = (run / "checkpoints" / "best").resolve()
    weights = best / "model.safetensors"
    if weights.stat().st_size > MOST:
        sys.exit(f"{weights} has more than {MOST:,} bytes: it is not to ship")
    for name in ("config.json", "model.safetensors", "tsfm_ttm.json"):
        shutil.copyfile(best / name, FOLDER / name)
    card = FOLDER / "card.json"
    said = json.loads(card.read_text(encoding="utf-8"))
    said["parameters"] = sum(one.size for one in load_file(weights).values())
    said["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    card.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    print(f"{said['parameters']:,} weights, sha256 {said['sha256']}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
