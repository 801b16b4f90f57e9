"""Where compiled code lives and runs: targets, object code, threads and programs."""
