"""Safe readers of weight files; they know no network."""
