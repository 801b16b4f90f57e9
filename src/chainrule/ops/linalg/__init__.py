"""Linear algebra: operations on matrices and batches of them, under PyTorch's names."""

from .determinants import det, logdet, slogdet
from .elimination import (
    lu,
    lu_factor,
    lu_factor_ex,
    lu_solve,
    lu_unpack,
    older_lu,
    older_lu_solve,
)
from .factors import (
    cholesky,
    cholesky_ex,
    cholesky_inverse,
    cholesky_solve,
    geqrf,
    householder_product,
    older_cholesky,
    older_qr,
    orgqr,
    ormqr,
    qr,
)
from .norms import cond, linalg_norm, matrix_norm, norm, vector_norm
from .powers import lstsq, matrix_exp, matrix_power, pinv, pinverse
from .products import (
    chain_matmul,
    cross,
    linalg_diagonal,
    multi_dot,
    older_cross,
    older_vander,
    vander,
    vecdot,
)
from .spectral import eigh, eigvalsh, matrix_rank, older_svd, svd, svdvals
from .systems import (
    inv,
    inv_ex,
    inverse,
    solve,
    solve_ex,
    solve_triangular,
    tensorinv,
    tensorsolve,
    triangular_solve,
)

__all__ = [
    "chain_matmul", "cholesky", "cholesky_ex", "cholesky_inverse", "cholesky_solve", "cond",
    "cross", "det", "eigh", "eigvalsh", "geqrf", "householder_product", "inv", "inv_ex", "inverse",
    "linalg_diagonal", "linalg_norm", "logdet", "lstsq", "lu", "lu_factor", "lu_factor_ex",
    "lu_solve", "lu_unpack", "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank",
    "multi_dot", "norm", "older_cholesky", "older_cross", "older_lu", "older_lu_solve", "older_qr",
    "older_svd", "older_vander", "orgqr", "ormqr", "pinv", "pinverse", "qr", "slogdet", "solve",
    "solve_ex", "solve_triangular", "svd", "svdvals", "tensorinv", "tensorsolve",
    "triangular_solve", "vander", "vecdot", "vector_norm",
]  # fmt: skip
