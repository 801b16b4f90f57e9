"""PyTorch as an independent judge: the same calls, modules and training steps in both.

These tests run only where torch is installed; ``.ci/run`` makes an environment for them. A package,
so that its modules may share names with those of the other tests.
"""
