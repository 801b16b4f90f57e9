"""The workloads of ``versus.py``: networks, data, and how each library trains them."""
