"""What keys do: plain classes that the screens compose, each for one subject."""
