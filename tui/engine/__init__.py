"""Where containers come from: a live Engine, a data-root on disk, or the sample of the demo."""
