"""Compiled code of these tests goes to a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.mktemp("cache") / "objects"))
        patch.delenv("CHAINRULE_TARGET", raising=False)
        patch.delenv("CHAINRULE_THREADS", raising=False)
        patch.delenv("CHAINRULE_DEBUG", raising=False)
        yield
