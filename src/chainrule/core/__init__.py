"""The core: abstract values, ops, values and nodes, and ``apply``, the one door between them."""
