"""What every package's tests share: a cache of prepared data that is theirs alone."""

import os
import tempfile

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache():
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TSFM_CACHE"] = folder
        yield
        del os.environ["TSFM_CACHE"]
