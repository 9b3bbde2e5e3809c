"""What refers to each layer of a data-root: containers, images, the build cache."""
