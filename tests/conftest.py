"""What every package's tests share: a cache of prepared data that is theirs alone."""

import os
import tempfile

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # what a test starts is not measured: it would take half as long again
    for _name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        os.environ.pop(_name, None)


@pytest.fixture(scope="session", autouse=True)
def _own_cache():
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TSFM_CACHE"] = folder
        yield
        del os.environ["TSFM_CACHE"]
