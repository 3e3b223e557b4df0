"""Metrics of generated images; `registry` lists them and says how to add one."""
