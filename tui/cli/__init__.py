"""The command line: one module a verb, thin; loads the screens only to run them."""
