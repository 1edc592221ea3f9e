"""The tab that trains: labels, plan, child process, curves, results."""
