"""Services of the machine for every program: devices, storage, logs, command line."""
