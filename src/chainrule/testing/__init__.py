"""Checking derivatives: ``gradcheck`` for functions and modules, ``opcheck`` for ops."""
