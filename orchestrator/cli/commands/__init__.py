"""The commands: one module each, with a function `run(options)`, imported only when that command runs."""
