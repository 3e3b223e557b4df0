"""The sections of an experiment's settings; a setting is one field of its section."""
