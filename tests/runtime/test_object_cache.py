"""The cache on disk: what it returns is what was put, whatever happens to its files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_kernels import add_index

from chainrule.runtime import build as builder
from chainrule.runtime import native
from chainrule.runtime.cache import MAGIC, Cache, default_folder, key
from chainrule.runtime.target import target

KEY = bytes(range(32))
CODE = bytes(np.random.default_rng(0).integers(0, 256, 300, np.uint8))
posix = pytest.mark.skipif(os.name != "posix", reason="mode bits are POSIX's")


def the_file(cache: Cache) -> Path:
    assert cache.folder is not None
    (path,) = cache.folder.iterdir()
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache(tmp_path / "made" / "objects")
    made.put(KEY, CODE)
    return made


def test_what_was_put_is_found_by_its_key_only(cache: Cache) -> None:
    assert cache.get(KEY) == CODE
    assert cache.get(bytes(32)) is None
    assert Cache(cache.folder).get(KEY) == CODE
    cache.put(KEY, b"")
    assert cache.get(KEY) == b""


@posix
def test_folder_and_files_are_the_user_s_alone(cache: Cache) -> None:
    assert cache.folder is not None
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert the_file(cache).stat().st_mode & 0o077 == 0


def test_any_changed_byte_is_noticed_and_the_file_removed(cache: Cache) -> None:
    path = the_file(cache)
    good = path.read_bytes()
    assert good.startswith(MAGIC)
    rng = np.random.default_rng(1)
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= int(rng.integers(1, 256))
        path.write_bytes(bad)
        assert cache.get(KEY) is None, f"byte {at}"
        assert not path.exists()
    cache.put(KEY, CODE)
    assert cache.get(KEY) == CODE


def test_a_file_of_any_other_length_is_noticed(cache: Cache) -> None:
    path = the_file(cache)
    good = path.read_bytes()
    for bad in [good[:n] for n in range(len(good))] + [good + b"\0", good * 2]:
        path.write_bytes(bad)
        assert cache.get(KEY) is None


def test_a_file_under_another_s_name_is_noticed(cache: Cache) -> None:
    path = the_file(cache)
    other = path.with_name(bytes(32).hex() + path.suffix)
    path.rename(other)
    assert cache.get(bytes(32)) is None
    assert not other.exists()


@posix
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o777])
def test_a_file_that_others_can_write_is_not_loaded(cache: Cache, mode: int) -> None:
    the_file(cache).chmod(mode)
    assert cache.get(KEY) is None


@posix
def test_a_link_or_a_pipe_in_the_place_of_a_file_is_not_followed(cache: Cache) -> None:
    path = the_file(cache)
    outside = path.parents[1] / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    assert cache.get(KEY) is None
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert cache.get(KEY) is None
    assert outside.exists()


@posix
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o722])
def test_a_folder_that_others_can_write_is_refused_with_a_warning(
    tmp_path: Path, mode: int
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.warns(RuntimeWarning, match="others can write"):
        cache = Cache(folder)
    cache.put(KEY, CODE)
    assert cache.get(KEY) is None
    assert not list(folder.iterdir())


@posix
def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.warns(RuntimeWarning, match="others can write"):
        assert Cache(tmp_path / "theirs").folder is None


def test_without_a_usable_folder_nothing_is_kept_and_nothing_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (None, tmp_path / "file", tmp_path / "file" / "below", Path("/proc/no/such")):
        cache = Cache(folder)
        cache.put(KEY, CODE)
        assert cache.get(KEY) is None
        cache.trim()


def test_a_disk_that_cannot_be_written_is_no_error(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        cache.put(bytes(32), CODE)
    assert cache.get(bytes(32)) is None
    assert cache.get(KEY) == CODE
    assert len(list(the_file(cache).parent.iterdir())) == 1, "nothing is left half-written"


def test_a_folder_that_disappears_is_no_error(cache: Cache) -> None:
    path = the_file(cache)
    path.unlink()
    path.parent.rmdir()
    cache.put(KEY, CODE)
    cache.trim()
    assert cache.get(KEY) is None


def test_the_files_used_longest_ago_go_first(tmp_path: Path) -> None:
    size = len(CODE) + 200
    cache = Cache(tmp_path / "objects", limit=10 * size)
    assert cache.folder is not None
    keys = [bytes([i]) * 32 for i in range(20)]
    for age, k in enumerate(keys):
        cache.put(k, CODE)
        when = time.time() - 1000 + age
        os.utime(cache.folder / f"{k.hex()}.o", (when, when))
    assert cache.get(keys[0]) == CODE
    (cache.folder / "note.txt").write_text("not ours" * 10_000)
    cache.trim()
    kept = [k for k in keys if cache.get(k) is not None]
    assert keys[0] in kept
    assert kept[1:] == keys[-len(kept) + 1 :]
    total = sum(f.stat().st_size for f in cache.folder.glob("*.o"))
    assert 0 < total <= 10 * size
    assert (cache.folder / "note.txt").exists()


def test_what_a_crash_left_is_removed_when_it_is_old(cache: Cache) -> None:
    assert cache.folder is not None
    old, new = cache.folder / "a.part", cache.folder / "b.part"
    old.touch()
    new.touch()
    os.utime(old, (1, 1))
    cache.trim()
    assert not old.exists()
    assert new.exists()


WRITER = """
import sys
from pathlib import Path
from chainrule.runtime.cache import Cache
for i in range(200):
    cache = Cache(Path(sys.argv[1]), limit=3000)
    k = bytes([i % 16]) * 32
    code = k * (i % 16 + 1)
    cache.put(k, code)
    found = cache.get(k)
    assert found is None or found == code
    cache.trim()
"""


def test_many_processes_share_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "shared_by_all"
    command = [sys.executable, "-W", "error", "-c", WRITER, str(folder)]
    running = [subprocess.Popen(command) for _ in range(4)]
    assert [p.wait() for p in running] == [0] * 4
    assert not list(folder.glob("*.part"))
    for path in folder.glob("*.o"):
        k = bytes.fromhex(path.stem)
        assert Cache(folder).get(k) == k * (k[0] + 1)


def test_the_key_depends_on_text_target_and_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    here, text = target(), add_index(3).text
    keys = {
        key(text, here),
        key(text + " ", here),
        key(text, target("sse2")),
        key(text, here._replace(cpu="other")),
        key(text, here._replace(features="+x")),
        key(text, here._replace(cpu=here.cpu + here.features[:1], features=here.features[1:])),
    }
    assert key(text, here) in keys
    monkeypatch.setattr(native, "RECIPE", "other")
    keys.add(key(text, here))
    monkeypatch.setattr(native, "version", lambda: "other")
    keys.add(key(text, here))
    monkeypatch.setattr("chainrule.__version__", "other")
    keys.add(key(text, here))
    assert len(keys) == 9


def test_the_folder_is_chosen_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    assert default_folder() is None
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv("CHAINRULE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "chainrule"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "chainrule"


def test_a_second_build_compiles_nothing_and_a_damaged_file_is_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "objects"))
    compiled: list[str] = []
    original = native.compile_text

    def counting(text: str, *rest: object) -> bytes:
        compiled.append(text)
        return original(text, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(native, "compile_text", counting)
    codes = [add_index(4, 500 + i) for i in range(3)]

    def build_all() -> int:
        compiled.clear()
        builder.build(codes, target())  # The kernels are freed at once: nobody holds them.
        return len(compiled)

    assert build_all() == 3
    assert build_all() == 0
    next((tmp_path / "objects").glob("*.o")).write_bytes(b"nonsense")
    assert build_all() == 1
    assert build_all() == 0
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    assert build_all() == 3


def test_debug_says_what_was_compiled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    builder.build([add_index(4, 900)], target())
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("CHAINRULE_DEBUG", "1")
    builder.build([add_index(4, 900), add_index(4, 901)], target())
    assert "2 kernels: 1 from the cache, 1 compiled" in capsys.readouterr().err
