"""What training did to the weights, tensor by tensor, and what that reads and writes."""
