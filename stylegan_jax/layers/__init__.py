"""The equations that the papers share."""
