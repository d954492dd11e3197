"""How a socket in the home is reached, however long its path is."""

from orchestrator.runtime.unix_socket import PATH_MAX, short_path

__all__ = ["PATH_MAX", "short_path"]
