"""Work beside the event loop: threads, child processes, long work in slices."""
