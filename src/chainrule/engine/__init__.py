"""The engine: walks over a recorded tape, backward (``reverse``) and forward (``forward``)."""
