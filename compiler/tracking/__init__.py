"""What MLflow is told of builds, and what it gives back."""
