"""Features: sparse dictionaries of what a model computes, and what they are good for."""
