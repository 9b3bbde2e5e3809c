"""What the app and the command line both need; knows neither a terminal nor arguments."""
