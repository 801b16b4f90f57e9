"""Operations: an op and its public function, side by side, one family a file."""
import importlib
__all__ = []
import pkgutil
for _m in sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in ("keys","philox","lowering","error_function","scattering")):
    try:
        _mod = importlib.import_module("." + _m, __name__)
    except ModuleNotFoundError:
        continue
    for _n in getattr(_mod, "__all__", [n for n, v in vars(_mod).items() if getattr(v, "__module__", "") == _mod.__name__ and n[0].islower()]):
        if not hasattr(_mod, _n): continue
        globals()[_n] = getattr(_mod, _n)
        __all__.append(_n)
