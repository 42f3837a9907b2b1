"""Other tools for looking inside models, each in an environment of its own, asked over a pipe."""
