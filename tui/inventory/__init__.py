"""Everything in a data-root: layers, records, logs, volumes, the build cache, and who refers to them."""
