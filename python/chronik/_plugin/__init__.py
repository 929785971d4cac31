"""What is behind the pytest plugin: the pool of clusters, foreign clusters, reports."""
