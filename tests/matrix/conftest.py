from collections.abc import Iterator

import pytest

from tests.matrix.asking import Door
from tests.whole.conftest import end, start

pytest.register_assert_rewrite("tests.matrix.scenarios", "tests.matrix.ways")


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server of the matrix's own: who is idle and what was used is looked at from outside."""
    served = start(tmp_path_factory.mktemp("matrix") / "data", "--simulated")
    yield Door(served.base_url.removesuffix("/v1"), served.api_key)
    end(served)
