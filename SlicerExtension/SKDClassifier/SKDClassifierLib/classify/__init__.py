"""The tab that classifies one volume and shows the result."""
