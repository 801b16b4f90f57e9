"""What backpropagation is used for: forecasts, decisions, sensitivity, attacks, surfaces."""
