"""The command line and the Python client; alone in printing."""
