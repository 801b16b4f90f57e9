"""PyTorch's own tables of cases: OpInfo, ModuleInfo and OptimizerInfo, run on ``chainrule.torch``.

``python -m tests.oracle.tables`` runs all of them, prints what they say and writes
``docs/torch_oracle.md``; ``--json FILE`` keeps every entry, ``--only ops`` and ``--match NAME`` run
a part.
"""
