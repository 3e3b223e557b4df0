"""Services that all programs use: devices, storage, logs, command line."""
