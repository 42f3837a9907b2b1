"""What single parts do: heads, neurons, matrices."""
