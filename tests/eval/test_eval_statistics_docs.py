"""The code in docs/statistics.md gives what is printed beside it; its tables name every function and every design."""

import importlib
import re
from pathlib import Path

from tsfm_eval.statistics import bootstrap, diebold_mariano, paired, paired_tests, ranks, skill

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")


def test_its_code_runs():
    said = 0
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        code, found = re.subn(r"^(.+?)  # -> (.+)$", r"assert str((\1)) == str(\2), (\1)", block, flags=re.MULTILINE)
        exec(code, {})
        said += found
    assert said == 4


def test_it_names_every_function_and_every_design(monkeypatch):
    for module in (bootstrap, diebold_mariano, paired, paired_tests, ranks, skill):
        for name in module.__all__:
            assert not name.islower() or name == "holm" or f"`{name}" in PAGE, name
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    intervals = importlib.import_module("intervals")
    # one table for 10 patients and more, one each for 6 and for 8
    for design in intervals.DESIGNS | intervals.UNEQUAL:
        assert PAGE.count(f"\n| {design} |") == 2 + (design in intervals.DESIGNS), design
    for method in intervals.FEW:
        assert method.strip("()") in PAGE, method
