"""Compiled code of these tests goes to a folder of its own; settings are put back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chainrule.runtime.threads import get_num_threads, set_num_threads


@pytest.fixture(scope="session", autouse=True)
def compiled_objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.mktemp("objects") / "cache"))
        patch.delenv("CHAINRULE_TARGET", raising=False)
        patch.delenv("CHAINRULE_DEBUG", raising=False)
        patch.delenv("CHAINRULE_BACKEND", raising=False)
        yield


@pytest.fixture
def threads() -> Iterator[None]:
    """The test may call ``set_num_threads``."""
    before = get_num_threads()
    yield
    set_num_threads(before)
