"""``torch.backends``: switches of libraries that are not used here. All can be set."""

from __future__ import annotations

from . import cuda as cuda
from . import cudnn as cudnn
from . import mkl as mkl
from . import mps as mps

mkldnn = openmp = mkl
