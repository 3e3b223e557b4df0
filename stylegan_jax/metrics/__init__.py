"""Metrics of generated images; `registry` lists them and explains how to add one."""
